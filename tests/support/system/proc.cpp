// Process tests. Reading of /proc.
#include "tests/support/system/proc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

namespace baton::test {
namespace {

/// Empty where the process has gone, be it between opening and reading.
std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

/// Fields of /proc/PID/stat from the third on, "state" at 0: the second is the program's name, which may hold blanks.
std::vector<std::string> stat_of(pid_t pid) {
  const std::string text = read_file(fmt::format("/proc/{}/stat", pid));
  const auto end = text.rfind(')');
  return end == std::string::npos ? std::vector<std::string>{} : words(text.substr(end + 1));
}

/// Inodes in `table` on the lines whose field `state_field` is `listening`.
void collect(const std::string& table, std::size_t state_field, std::string_view listening, std::size_t inode_field,
             Inodes& found) {
  std::ifstream stream(table);
  for (std::string line; std::getline(stream, line);) {
    const std::vector<std::string> fields = words(line);
    if (fields.size() > inode_field && fields[state_field] == listening) found.insert(std::stoull(fields[inode_field]));
  }
}

}  // namespace

std::map<int, std::string> descriptors_of(pid_t pid) {
  std::map<int, std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", pid))) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry, gone);
    if (!gone) found[std::stoi(entry.path().filename().string())] = target.string();
  }
  return found;
}

Inodes sockets_of(pid_t pid) {
  constexpr std::string_view prefix = "socket:[";
  Inodes found;
  for (const auto& [number, target] : descriptors_of(pid))
    if (target.starts_with(prefix)) found.insert(std::stoull(target.substr(prefix.size())));
  return found;
}

Inodes listening_sockets() {
  Inodes found;
  constexpr std::string_view tcp_listen = "0A";
  collect("/proc/net/tcp", 3, tcp_listen, 9, found);
  collect("/proc/net/tcp6", 3, tcp_listen, 9, found);
  constexpr std::string_view so_acceptcon = "00010000";
  collect("/proc/net/unix", 3, so_acceptcon, 6, found);
  return found;
}

Inodes common_to(const Inodes& a, const Inodes& b) {
  Inodes found;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::inserter(found, found.end()));
  return found;
}

Inodes without(const Inodes& a, const Inodes& b) {
  Inodes found;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(found, found.end()));
  return found;
}

std::string status_of(pid_t pid, const std::string& field) {
  std::ifstream stream(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with(field + ":\t")) return line.substr(field.size() + 2);
  return {};
}

std::uint64_t signals_of(pid_t pid, const std::string& field) {
  return std::stoull("0" + status_of(pid, field), nullptr, 16);
}

std::uint64_t cpu_ticks(pid_t pid) {
  const std::vector<std::string> fields = stat_of(pid);
  constexpr std::size_t utime = 11;  // the 14th field of all
  return fields.size() > utime + 1 ? std::stoull(fields[utime]) + std::stoull(fields[utime + 1]) : 0;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    pid_t each = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), each);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    const std::vector<std::string> fields = stat_of(each);
    if (fields.size() > 1 && fields[1] == std::to_string(pid)) found.push_back(each);
  }
  return found;
}

std::vector<pid_t> living_children_of(pid_t pid) {
  std::vector<pid_t> found;
  for (const std::string& each : words(read_file(fmt::format("/proc/{0}/task/{0}/children", pid)))) {
    const std::vector<std::string> fields = stat_of(std::stoi(each));
    if (!fields.empty() && fields[0] != "Z" && fields[0] != "X") found.push_back(std::stoi(each));
  }
  return found;
}

std::uint64_t resident_memory(pid_t pid) {
  return std::stoull("0" + words(status_of(pid, "VmRSS") + " 0").front()) * 1024;
}

Inodes unix_listener(const std::string& path) {
  Inodes found;
  std::ifstream stream("/proc/net/unix");
  for (std::string line; std::getline(stream, line);) {
    const std::vector<std::string> fields = words(line);
    if (fields.size() > 7 && fields[7] == path && fields[3] == "00010000") found.insert(std::stoull(fields[6]));
  }
  return found;
}

Inodes control_listeners(const std::string& path) {
  Inodes both = unix_listener(path);
  both.merge(unix_listener(path + ".workers"));
  return both;
}

std::string command_line(pid_t pid) {
  std::string text = read_file(fmt::format("/proc/{}/cmdline", pid));
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

bool is_dying(pid_t pid) {
  const std::vector<std::string> fields = stat_of(pid);
  constexpr std::size_t flags = 6;
  constexpr unsigned long pf_exiting = 4;
  if (fields.size() <= flags || fields[0] == "Z" || fields[0] == "X") return true;
  const std::uint64_t pending = signals_of(pid, "SigPnd") | signals_of(pid, "ShdPnd");
  return (std::stoul(fields[flags]) & pf_exiting) != 0 || (pending & in_mask(SIGKILL)) != 0;
}

bool exists(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

}  // namespace baton::test
