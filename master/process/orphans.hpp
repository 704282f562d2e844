// Master. What workers leave behind: processes that they started, whose parent is gone, and which have come to this one
// (PR_SET_CHILD_SUBREAPER). Owns the memory of which were killed, and of the children that are none of ours.
#pragma once

#include <sys/types.h>

#include <set>
#include <vector>

#include "master/process/worker_handle.hpp"

namespace baton {

class Orphans {
 public:
  /// `workers` are those whose processes are not left behind. To be made before any is started: the children that this
  /// process has by then are strangers (sidecar & exec baton).
  explicit Orphans(const Workers& workers);

  /// Reaps those that have ended, and kills those whose worker is no more. To be called when a child has ended.
  void sweep();
  /// Kills and reaps all of them, and theirs, once there is no worker any more.
  void end();

 private:
  [[nodiscard]] std::vector<pid_t> find() const;
  [[nodiscard]] bool has_owner(int start) const;

  const Workers& workers_;
  std::set<pid_t> strangers_;
  std::set<pid_t> killed_;
};

}  // namespace baton
