// Master. Reads /proc: descriptors, what an epoll holds, and the system call that a thread is blocked in (proc(5)); and
// looks at connections through copies of them (pidfd_getfd(2)), for a moment.
#include "master/process/accept_probe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"

namespace baton {
namespace {

namespace files = std::filesystem;

using Inodes = std::set<std::uint64_t>;
using Descriptors = std::set<int>;

std::optional<std::uint64_t> number_in(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end != text.data() ? std::optional(value) : std::nullopt;
}

/// The names in a directory of /proc that are numbers.
std::vector<int> numbers_in(const std::string& directory, std::error_code& error) {
  std::vector<int> found;
  for (files::directory_iterator each(directory, error); !error && each != files::directory_iterator();
       each.increment(error))
    if (const auto number = number_in(each->path().filename().native())) found.push_back(static_cast<int>(*number));
  return found;
}

/// "tfd:  7 events: 19 data: 7 pos:0 ino:1a2b sdev:8" for each descriptor in it.
bool epoll_holds(const std::string& info, const Inodes& listeners) {
  constexpr std::string_view mark = " ino:";
  std::ifstream file(info);
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find(mark);
    if (!line.starts_with("tfd:") || at == std::string::npos) continue;
    const auto inode = number_in(std::string_view(line).substr(at + mark.size()), 16);
    if (inode && listeners.contains(*inode)) return true;
  }
  return false;
}

/// What a process holds of the listeners, and whether one of its epolls does.
struct Holdings {
  Descriptors listeners;
  std::vector<int> other_sockets;
  bool in_epoll = false;
  bool are_hidden = false;
};

Holdings holdings_of(pid_t process, const Inodes& listeners) {
  constexpr std::string_view socket = "socket:[";
  Holdings held;
  std::error_code error;
  const std::string directory = fmt::format("/proc/{}/fd", process);
  for (const int descriptor : numbers_in(directory, error)) {
    std::error_code gone;
    const std::string target = files::read_symlink(fmt::format("{}/{}", directory, descriptor), gone);
    if (target == "anon_inode:[eventpoll]")
      held.in_epoll = held.in_epoll || epoll_holds(fmt::format("/proc/{}/fdinfo/{}", process, descriptor), listeners);
    if (!target.starts_with(socket)) continue;
    const auto inode = number_in(std::string_view(target).substr(socket.size()));
    if (inode && listeners.contains(*inode))
      held.listeners.insert(descriptor);
    else
      held.other_sockets.push_back(descriptor);
  }
  held.are_hidden = error == std::errc::permission_denied;
  return held;
}

/// The system call that a thread is blocked in: its number and its arguments.
struct Call {
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> arguments{};
};

std::optional<Call> call_of(const std::string& task) {
  std::ifstream file(task + "/syscall");
  std::string word;
  Call call;
  if (!(file >> word)) return std::nullopt;
  const auto number = number_in(word);  // else "running", or -1 where it is blocked elsewhere
  if (!number) return std::nullopt;
  call.number = *number;
  for (std::uint64_t& each : call.arguments) {
    if (!(file >> word) || !word.starts_with("0x")) return std::nullopt;
    each = number_in(std::string_view(word).substr(2), 16).value_or(0);
  }
  return call;
}

template <class Item>
std::vector<Item> memory_of(pid_t process, std::uint64_t address, std::size_t count) {
  std::vector<Item> items(count);
  const Fd memory{::open(fmt::format("/proc/{}/mem", process).c_str(), O_RDONLY | O_CLOEXEC)};
  const auto wanted = static_cast<ssize_t>(count * sizeof(Item));
  if (!memory.is_open() ||
      ::pread(memory.get(), items.data(), count * sizeof(Item), static_cast<off_t>(address)) != wanted)
    items.clear();
  return items;
}

bool polls(pid_t process, const Call& call, const Descriptors& listeners) {
  constexpr std::uint64_t most = 4096;
  const auto list = memory_of<pollfd>(process, call.arguments[0], std::min(call.arguments[1], most));
  return std::any_of(list.begin(), list.end(),
                     [&](const pollfd& each) { return (each.events & POLLIN) != 0 && listeners.contains(each.fd); });
}

bool selects(pid_t process, const Call& call, const Descriptors& listeners) {
  constexpr std::size_t bits = 8 * sizeof(unsigned long);
  const std::uint64_t count = std::min<std::uint64_t>(call.arguments[0], 65'536);
  const auto words = memory_of<unsigned long>(process, call.arguments[1], (count + bits - 1) / bits);
  return std::any_of(listeners.begin(), listeners.end(), [&](int each) {
    const auto at = static_cast<std::size_t>(each);
    return at / bits < words.size() && (words[at / bits] >> (at % bits) & 1U) != 0;
  });
}

bool is_blocked_on(pid_t process, const Call& call, const Descriptors& listeners) {
  switch (call.number) {
#ifdef SYS_accept
    case SYS_accept:
#endif
    case SYS_accept4:
      return listeners.contains(static_cast<int>(call.arguments[0]));
#ifdef SYS_poll
    case SYS_poll:
#endif
    case SYS_ppoll:
      return polls(process, call, listeners);
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_pselect6:
      return selects(process, call, listeners);
    default:
      return false;
  }
}

/// A TCP port or a Unix socket's name; nothing of another's socket that this process may not see.
std::string local_name(const Fd& socket) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  auto* const generic = reinterpret_cast<sockaddr*>(&own);
  if (!socket.is_open() || ::getsockname(socket.get(), generic, &size) == -1) return "";
  if (own.ss_family == AF_UNIX) return {reinterpret_cast<const char*>(&own), size};
  constexpr std::size_t port_offset = offsetof(sockaddr_in, sin_port);
  static_assert(port_offset == offsetof(sockaddr_in6, sin6_port));
  return {reinterpret_cast<const char*>(&own) + port_offset, sizeof(in_port_t)};
}

bool is_connected(const Fd& socket) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return ::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

/// Whether one of the first few of its other sockets is a connection that was made to one of its listeners.
bool has_accepted(pid_t process, const Holdings& held) {
  constexpr std::size_t most = 16;
  const Fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, process, 0))};
  const auto copy = [&](int descriptor) {
    return Fd{static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), descriptor, 0))};
  };
  std::set<std::string> names;
  for (const int each : held.listeners) names.insert(local_name(copy(each)));
  for (std::size_t i = 0; i < std::min(most, held.other_sockets.size()); ++i) {
    const Fd socket = copy(held.other_sockets[i]);
    const std::string name = local_name(socket);
    if (!name.empty() && names.contains(name) && is_connected(socket)) return true;
  }
  return false;
}

Awaiting look_at(pid_t process, const Inodes& listeners) {
  const Holdings held = holdings_of(process, listeners);
  if (held.are_hidden) return Awaiting::unknown;
  if (held.in_epoll) return Awaiting::yes;
  if (held.listeners.empty()) return Awaiting::no;
  std::error_code error;
  const std::string tasks = fmt::format("/proc/{}/task", process);
  for (const int thread : numbers_in(tasks, error)) {
    const auto call = call_of(fmt::format("{}/{}", tasks, thread));
    if (call && is_blocked_on(process, *call, held.listeners)) return Awaiting::yes;
  }
  return has_accepted(process, held) ? Awaiting::yes : Awaiting::no;
}

std::vector<pid_t> children_of(pid_t process) {
  std::vector<pid_t> found;
  std::error_code error;
  const std::string tasks = fmt::format("/proc/{}/task", process);
  for (const int thread : numbers_in(tasks, error)) {
    std::ifstream list(fmt::format("{}/{}/children", tasks, thread));
    for (pid_t pid = 0; list >> pid;) found.push_back(pid);
  }
  return found;
}

}  // namespace

Awaiting awaits_connections(pid_t process, const std::set<std::uint64_t>& listeners) {
  constexpr std::size_t most_processes = 64;
  std::vector<pid_t> family{process};
  for (std::size_t i = 0; i < std::min(family.size(), most_processes); ++i) {
    const Awaiting found = look_at(family[i], listeners);
    if (found == Awaiting::yes || (found == Awaiting::unknown && i == 0)) return found;
    const std::vector<pid_t> children = children_of(family[i]);
    family.insert(family.end(), children.begin(), children.end());
  }
  return Awaiting::no;
}

std::uint64_t inode_of(const Fd& socket) {
  struct stat status {};
  check(::fstat(socket.get(), &status), "fstat");
  return status.st_ino;
}

}  // namespace baton
