// Master. Starts a worker in a slot, and takes it into service once it is ready.
#pragma once

#include <random>

#include "master/cluster/cluster_primary.hpp"
#include "master/supervisor/worker_losses.hpp"

namespace baton {

class Starter {
 public:
  /// What it works with; all of it outlives this.
  struct Parts {
    Pool& pool;
    ProcessTable& processes;
    const Generations& generations;
    OpenListeners& listeners;
    ConnectionHanding& handing;
    ClusterPrimary& cluster;
    WorkerLosses& losses;
    Rollout& rollout;
    Events& events;
  };

  explicit Starter(const Parts& parts) : parts_(parts) {}

  /// False: it could not be started, which counts as a loss. At the master's own start that is thrown instead, as
  /// StartError or std::system_error.
  bool start(unsigned slot, bool is_first_start);
  /// The worker has given the sign that its generation's settings wait for. False: it was asked to leave meanwhile.
  bool take_into_service(WorkerHandle& worker);

 private:
  void spawn(unsigned slot);
  void set_lifetime(WorkerHandle& worker, TimePoint now);
  void announce(const WorkerHandle& worker);

  Parts parts_;
  int last_id_ = 0;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace baton
