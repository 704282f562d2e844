// Master. Workers that end, hang, or are too late: what the pool makes of it, told to the log, to `events`, and to
// those who wait for a reload or a scale.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "master/cluster/cluster_listeners.hpp"
#include "master/supervisor/drain.hpp"
#include "master/supervisor/rollout.hpp"

namespace baton {

class WorkerLosses {
 public:
  /// What it works with; all of it outlives this.
  struct Parts {
    Pool& pool;
    ProcessTable& processes;
    OpenListeners& listeners;
    const ClusterListeners& asked_for;
    Drain& drain;
    Rollout& rollout;
    Events& events;
  };

  explicit WorkerLosses(const Parts& parts) : parts_(parts) {}

  /// The worker's process is reaped, and the pool knows it.
  void on_exit(const WorkerHandle& worker, const Ending& ending, const Loss& loss);
  /// The worker shows no sign of life. `how` goes on from its name.
  void on_hung(const WorkerHandle& worker, std::string_view how);
  /// No worker could be started in that slot. `why` says so with its number.
  void on_not_started(unsigned slot, const std::string& why);
  /// Those whose time to get ready, or to finish, has run out.
  void expire(TimePoint now);

  /// Of workers that ended unasked.
  [[nodiscard]] unsigned restarts() const { return restarts_; }
  /// How the slot's worker was lost last; empty: none was.
  [[nodiscard]] std::string last_of(unsigned slot) const;

 private:
  void tell_exit(const WorkerHandle& worker, const Ending& ending, const Loss& loss);
  void follow_up(const Loss& loss, const std::string& what);
  void on_late_start(const WorkerHandle& worker, const Pool::Failed& failed);

  Parts parts_;
  unsigned restarts_ = 0;
  std::map<unsigned, std::string> last_;  ///< by slot
};

}  // namespace baton
