// Master. What Node's cluster primary is to its workers, for those of the dialect `node-cluster`: answers their
// queryServer, and hears that they listen, close and leave. Which listener a question means, and who holds which,
// ClusterListeners knows.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string_view>

#include "master/cluster/cluster_listeners.hpp"
#include "master/control/events.hpp"
#include "master/dispatch/connection_handing.hpp"
#include "master/pool/pool.hpp"
#include "master/process/process_table.hpp"
#include "master/settings/generations.hpp"

namespace baton {

class ClusterPrimary {
 public:
  /// What it works with; all of it outlives this.
  struct Parts {
    ClusterListeners& listeners;
    Pool& pool;
    ProcessTable& processes;
    ConnectionHanding& handing;
    const Generations& generations;
    Events& events;
  };

  /// `on_leave` runs when a worker leaves by itself, and somebody is wanted in its place.
  ClusterPrimary(Parts parts, std::function<void()> on_leave) : parts_(parts), on_leave_(std::move(on_leave)) {}

  /// What a worker of Node's cluster says.
  void on_message(WorkerHandle& worker, const protocol::Message& message);
  /// The worker is ready: where the master accepts, it gets connections of all that it has asked for.
  void serve_held(const WorkerHandle& worker);
  /// Closes the listeners that nobody asks for any more. `is_quiet`: no worker is on its way who could ask.
  void give_up_listeners(TimePoint now, bool is_quiet);

 private:
  void on_question(WorkerHandle& worker, const boost::json::object& said);
  void give(WorkerHandle& worker, const protocol::Query& query, const ClusterListeners::Answer& found);
  void tell_opened(const WorkerHandle& worker, const std::string& address);
  void on_listening(WorkerHandle& worker, const boost::json::object& said);
  void on_close(WorkerHandle& worker, std::string_view key);
  void serve_or_forgo(const WorkerHandle& worker, const Vault& vault);
  void on_leave(WorkerHandle& worker, const boost::json::object& said);

  Parts parts_;
  std::function<void()> on_leave_;
};

}  // namespace baton
