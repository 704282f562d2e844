// Doctor. Reads /proc: proc(5).
#include "master/doctor/processes.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

namespace baton::doctor {
namespace {

namespace files = std::filesystem;

constexpr std::string_view socket_prefix = "socket:[";
constexpr unsigned state_listen = 0x0A;

/// Calls `visit` with the target of each descriptor.
template <class Visit>
void each_descriptor(pid_t process, Visit visit) {
  std::error_code error;
  for (files::directory_iterator each(fmt::format("/proc/{}/fd", process), error), end; !error && each != end;
       each.increment(error)) {
    std::error_code gone;
    const std::string target = files::read_symlink(each->path(), gone).string();
    if (!gone) visit(target);
  }
}

std::vector<pid_t> children_of(pid_t process) {
  std::vector<pid_t> found;
  std::error_code error;
  for (files::directory_iterator each(fmt::format("/proc/{}/task", process), error), end; !error && each != end;
       each.increment(error)) {
    std::ifstream list(each->path() / "children");
    for (pid_t pid = 0; list >> pid;) found.push_back(pid);
  }
  return found;
}

bool is_zombie(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(") ");
  return name_end == std::string::npos || text.at(name_end + 2) == 'Z' || text.at(name_end + 2) == 'X';
}

/// Cuts the first word off.
std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

template <class Number>
Number number_in(std::string_view text, int base) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number, base);
  return number;
}

/// Of a line of /proc/net/tcp, where it is a listener's with that port.
std::optional<std::uint64_t> listening_inode(std::string_view line, std::uint16_t port) {
  constexpr int hexadecimal = 16;
  take_word(line);  // the slot
  const std::string_view address = take_word(line);
  take_word(line);  // the peer's
  if (number_in<unsigned>(take_word(line), hexadecimal) != state_listen) return std::nullopt;
  if (number_in<std::uint16_t>(address.substr(address.rfind(':') + 1), hexadecimal) != port) return std::nullopt;
  for (int i = 0; i < 5; ++i) take_word(line);  // queues, timers, retransmissions, user, timeout
  return number_in<std::uint64_t>(take_word(line), 10);
}

}  // namespace

std::vector<pid_t> family_of(pid_t process) {
  std::vector<pid_t> family;
  if (is_zombie(process)) return family;
  family.push_back(process);
  for (std::size_t i = 0; i < family.size(); ++i)
    for (const pid_t child : children_of(family.at(i)))
      if (!is_zombie(child)) family.push_back(child);
  return family;
}

std::vector<pid_t> own_children() {
  return children_of(::getpid());
}

std::string command_line(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/cmdline", process));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (text.ends_with('\0')) text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

Descriptors descriptors_of(const std::vector<pid_t>& processes) {
  Descriptors found;
  for (const pid_t each : processes)
    // "socket:[4711]" and "/dev/null (deleted)": what they are, and not which one.
    each_descriptor(each, [&](const std::string& target) { ++found[target.substr(0, target.find(":["))]; });
  return found;
}

std::size_t total(const Descriptors& descriptors) {
  std::size_t sum = 0;
  for (const auto& [kind, count] : descriptors) sum += count;
  return sum;
}

std::set<std::uint64_t> listening_inodes(std::uint16_t port) {
  std::set<std::uint64_t> found;
  for (const char* const path : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
      if (const auto inode = listening_inode(line, port)) found.insert(*inode);
  }
  return found;
}

bool holds_any(const std::vector<pid_t>& processes, const std::set<std::uint64_t>& inodes) {
  bool is_found = false;
  for (const pid_t each : processes)
    each_descriptor(each, [&](std::string_view target) {
      if (!target.starts_with(socket_prefix)) return;
      std::uint64_t inode = 0;
      std::from_chars(target.data() + socket_prefix.size(), target.data() + target.size(), inode);
      is_found = is_found || inodes.contains(inode);
    });
  return is_found;
}

Fd pidfd_of(pid_t process) {
  return Fd{static_cast<int>(::syscall(SYS_pidfd_open, process, 0))};
}

bool has_ended(const Fd& pidfd) {
  if (!pidfd.is_open()) return true;
  pollfd waiting{pidfd.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) > 0;
}

Family::Family(pid_t worker) : pidfd_(pidfd_of(worker)), descendants_(family_of(worker)) {
  std::erase(descendants_, worker);
}

std::vector<pid_t> Family::living_descendants() const {
  std::vector<pid_t> living = descendants_;
  std::erase_if(living, [](pid_t each) { return family_of(each).empty(); });
  return living;
}

}  // namespace baton::doctor
