// Master. Reads /proc: this process's children, and by which worker's start each of them came to be.
#include "master/process/orphans.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include "common/log.hpp"
#include "common/protocol.hpp"

namespace baton {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The children of this process, orphans that came to it included.
std::vector<pid_t> own_children() {
  std::ifstream list(fmt::format("/proc/self/task/{}/children", ::getpid()));
  std::vector<pid_t> found;
  for (pid_t pid = 0; list >> pid;) found.push_back(pid);
  return found;
}

/// The BATON_START that a process was started with, or 0.
int start_of(pid_t pid) {
  std::ifstream environment(fmt::format("/proc/{}/environ", pid));
  const std::string wanted = fmt::format("{}=", protocol::start_variable);
  for (std::string entry; std::getline(environment, entry, '\0');)
    if (entry.starts_with(wanted)) return static_cast<int>(std::strtol(entry.c_str() + wanted.size(), nullptr, 10));
  return 0;
}

/// Whether a child that was sent KILL ends, as it does unless the kernel holds it.
bool ends_soon(pid_t pid) {
  constexpr int patience_ms = 1000;
  const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  pollfd state{process.get(), POLLIN, 0};
  return process.is_open() && ::poll(&state, 1, patience_ms) == 1;
}

}  // namespace

Orphans::Orphans(const Workers& workers) : workers_(workers) {
  const std::vector<pid_t> before = own_children();
  strangers_.insert(before.begin(), before.end());
}

std::vector<pid_t> Orphans::find() const {
  std::vector<pid_t> found;
  for (const pid_t pid : own_children()) {
    const bool is_worker = std::any_of(workers_.begin(), workers_.end(),
                                       [&](const auto& each) { return each.second->child.pid() == pid; });
    if (!is_worker && !strangers_.contains(pid)) found.push_back(pid);
  }
  return found;
}

/// Whether somebody is left to stop it. A process that has cleared its environment may be any worker's.
bool Orphans::has_owner(int start) const {
  return start == 0 ? !workers_.empty() : workers_.contains(start);
}

void Orphans::sweep() {
  for (const pid_t pid : find()) {
    const std::string program = first_line(fmt::format("/proc/{}/comm", pid));
    const int start = start_of(pid);
    if (::waitpid(pid, nullptr, WNOHANG) != 0) {
      killed_.erase(pid);
      continue;
    }
    // It may hold the listener, and would serve with nobody to stop it.
    if (has_owner(start) || !killed_.insert(pid).second) continue;
    log::warning("a worker that has ended left {} pid {} behind, which is killed", program, pid);
    ::kill(pid, SIGKILL);
  }
}

void Orphans::end() {
  // The children of one that is killed come to us in their turn.
  for (std::vector<pid_t> left = find(); !left.empty(); left = find()) {
    sweep();
    for (const pid_t pid : left)
      if (killed_.contains(pid) && !ends_soon(pid)) return log::error("pid {} does not end by KILL", pid);
  }
}

}  // namespace baton
