// Master. What a worker does, as the process table tells it to whoever decides what follows.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "common/protocol.hpp"
#include "master/process/worker_handle.hpp"

namespace baton {

class WorkerObserver {
 public:
  /// It has given the sign that its generation's settings wait for. Once for each worker.
  virtual void on_ready(WorkerHandle& worker) = 0;
  /// `why` goes on from its name.
  virtual void on_wants_to_retire(WorkerHandle& worker, std::string_view why) = 0;
  /// `how` goes on from its name.
  virtual void on_hung(WorkerHandle& worker, std::string_view how) = 0;
  /// What it says of the connections that it was handed. False: it is out of place.
  virtual bool on_answer(WorkerHandle& worker, const protocol::Message& message) = 0;
  /// What a worker of Node's cluster says besides.
  virtual void on_cluster(WorkerHandle& worker, const protocol::Message& message) = 0;
  /// What it wants of the message bus, or of the shared state: an object with a member "baton".
  virtual void on_bus_message(WorkerHandle& worker, const boost::json::object& said) = 0;
  /// A message to the master.
  virtual void on_words(WorkerHandle& worker, const boost::json::value& words) = 0;
  /// After send_now() found no room in its channel: there may be some now.
  virtual void on_writable(WorkerHandle& worker) = 0;
  /// Its channel has ended, though it may live on.
  virtual void on_channel_end(WorkerHandle& worker) = 0;
  /// Its process is reaped; the record goes after this.
  virtual void on_exit(WorkerHandle& worker, const Ending& ending) = 0;

 protected:
  WorkerObserver() = default;
  WorkerObserver(const WorkerObserver&) = default;
  WorkerObserver& operator=(const WorkerObserver&) = default;
  ~WorkerObserver() = default;
};

}  // namespace baton
