// Process tests. What /proc says of a process: its descriptors, its sockets, its signals, its children, its CPU time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace baton::test {

/// Descriptor number to what it is: "socket:[4711]", "/dev/null", "anon_inode:[eventpoll]".
std::map<int, std::string> descriptors_of(pid_t pid);

using Inodes = std::set<std::uint64_t>;
/// Of its sockets.
Inodes sockets_of(pid_t pid);
/// Of all sockets of this network namespace that listen: TCP over IPv4 and IPv6, and Unix.
Inodes listening_sockets();
Inodes common_to(const Inodes& a, const Inodes& b);
Inodes without(const Inodes& a, const Inodes& b);

/// A field of /proc/PID/status: "SigIgn" is hexadecimal, "Threads" decimal.
std::string status_of(pid_t pid, const std::string& field);
std::uint64_t signals_of(pid_t pid, const std::string& field);
constexpr std::uint64_t in_mask(int signal) {
  return std::uint64_t{1} << (signal - 1);
}

/// utime + stime in clock ticks (100 a second).
std::uint64_t cpu_ticks(pid_t pid);
std::vector<pid_t> children_of(pid_t pid);
/// Of those, the ones that have not ended; quick enough to be asked all the time, and from any thread.
std::vector<pid_t> living_children_of(pid_t pid);
/// In bytes.
std::uint64_t resident_memory(pid_t pid);
/// The listening Unix socket with that path.
Inodes unix_listener(const std::string& path);
/// The control socket at that path and the workers' control socket beside it.
Inodes control_listeners(const std::string& path);
std::string command_line(pid_t pid);
/// Ended, or killed and about to.
bool is_dying(pid_t pid);
bool exists(pid_t pid);

}  // namespace baton::test
