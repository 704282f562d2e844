// Master. Listeners that somebody has tampered with: a worker can shut down what it shares, or change its backlog.
// Looks when the kernel rings (ListenerAlarm) and with every health check; mends the listener, and has the culprit
// replaced.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <vector>

#include "common/clock.hpp"
#include "master/cluster/cluster_listeners.hpp"
#include "master/supervisor/drain.hpp"
#include "master/supervisor/open_listeners.hpp"
#include "master/supervisor/recycling.hpp"
#include "master/system/watch.hpp"

namespace baton {

class ListenerRepair {
 public:
  /// What it works with; all of it outlives this.
  struct Parts {
    ListenerAlarm& alarm;
    const Generations& generations;
    const Pool& pool;
    const ProcessTable& processes;
    const OpenListeners& listeners;
    const ClusterListeners& asked_for;
    Recycling& recycling;
    Drain& drain;
    Events& events;
  };

  ListenerRepair(boost::asio::any_io_executor executor, const Parts& parts)
      : executor_(std::move(executor)), parts_(parts), alarm_watch_(executor_, parts_.alarm.fd()) {}

  /// Looks at all listeners whenever one rings, until end(); `looked` runs after each look.
  boost::asio::awaitable<void> follow_alarm(std::function<void()> looked);
  void end() { alarm_watch_.cancel(); }

  void inspect_all();
  /// The worker got ready, or ended before: it may have called listen(2) on what it was given.
  void note_newcomer(int id) { newcomers_.push_back(id); }
  /// A Unix socket's abstract name is free only once every worker that leaves has gone: none is started before.
  [[nodiscard]] bool waits_for_name() const { return waits_for_name_; }
  /// To be called when a worker may have been the last of those.
  void note_who_is_left();

 private:
  void inspect(ListenerGroup& group);
  void mend(Vault& vault, const Vault::Finding& finding);
  [[nodiscard]] bool is_customary(const Vault::Finding& finding, TimePoint now) const;
  [[nodiscard]] bool somebody_begins(TimePoint now) const;
  void tell_repair(const std::string& message, TimePoint now);
  void renew(Vault& vault);
  [[nodiscard]] bool holds(const WorkerHandle& worker, const Vault& vault) const;
  [[nodiscard]] std::vector<const WorkerHandle*> holders_of(const Vault& vault) const;
  [[nodiscard]] const WorkerHandle* find_culprit(const std::vector<const WorkerHandle*>& holders,
                                                 const Vault::Finding& finding) const;

  boost::asio::any_io_executor executor_;
  Parts parts_;
  Watch alarm_watch_;
  std::vector<int> newcomers_;  ///< since the last look
  TimePoint last_told_{};
  bool waits_for_name_ = false;
};

}  // namespace baton
