// Doctor. What the kernel shows of processes and of TCP sockets, in /proc. Nothing is changed there, and what has gone
// meanwhile is simply not found.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/fd.hpp"

namespace baton::doctor {

/// The process and all that it has started, and these, that live.
std::vector<pid_t> family_of(pid_t process);
/// The children of this process, be it by adoption.
std::vector<pid_t> own_children();
/// As in ps: "python3 worker.py"; empty where it has gone.
std::string command_line(pid_t process);

/// What open descriptors lead to ("socket", "/var/log/app"), and how many each.
using Descriptors = std::map<std::string, std::size_t>;
Descriptors descriptors_of(const std::vector<pid_t>& processes);
std::size_t total(const Descriptors& descriptors);

/// The inodes of the sockets that listen on that TCP port.
std::set<std::uint64_t> listening_inodes(std::uint16_t port);
bool holds_any(const std::vector<pid_t>& processes, const std::set<std::uint64_t>& inodes);

/// Not open where there is no such process.
Fd pidfd_of(pid_t process);
bool has_ended(const Fd& pidfd);

/// A worker and what it has started, as they are now, to be looked for later.
class Family {
 public:
  explicit Family(pid_t worker);

  [[nodiscard]] bool has_worker_ended() const { return has_ended(pidfd_); }
  [[nodiscard]] std::size_t descendants() const { return descendants_.size(); }
  [[nodiscard]] std::vector<pid_t> living_descendants() const;

 private:
  Fd pidfd_;
  std::vector<pid_t> descendants_;
};

}  // namespace baton::doctor
