// Master. The listeners on which clients can be waiting, those of the configuration and those that programs have asked
// for: opened for a worker, closed when clients are to be refused, given up when nobody names them any more.
#pragma once

#include <memory>
#include <vector>

#include "master/cluster/cluster_listeners.hpp"
#include "master/control/events.hpp"
#include "master/pool/pool.hpp"
#include "master/process/worker_handle.hpp"
#include "master/settings/generations.hpp"

namespace baton {

class OpenListeners {
 public:
  using Groups = Generations::Groups;

  OpenListeners(const Generations& generations, ClusterListeners& asked_for, const Pool& pool, Events& events)
      : generations_(generations), asked_for_(asked_for), pool_(pool), events_(events) {}

  /// Of the configuration in force, and those that programs have asked for.
  [[nodiscard]] Groups all() const;

  /// What a worker in that slot is to be handed is there. Throws StartError, std::system_error.
  void prepare(unsigned slot);
  /// The worker is ready: what was only bound listens from now on, with our backlog.
  void confirm(const WorkerHandle& worker);

  /// Clients are refused until accept_clients(): no worker can be brought up.
  void refuse_clients();
  /// The same without a word: a trial that failed may have listened.
  void empty() const;
  void accept_clients();
  /// Clients are refused for good.
  void close_all();

  /// The configuration's backlog has changed.
  void set_backlog();
  /// Closes what `old` had and the configuration in force has not. Returns those.
  Groups close_dropped(const Generation& old);

 private:
  const Generations& generations_;
  ClusterListeners& asked_for_;
  const Pool& pool_;
  Events& events_;
};

}  // namespace baton
