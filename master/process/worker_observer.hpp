// Master. Who is told what the workers do and say: the supervisor, from above. The ProcessTable and its collaborators
// call it on the one Asio thread; it owns nothing.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "common/protocol.hpp"
#include "master/system/child.hpp"

namespace baton {

struct WorkerHandle;

class WorkerObserver {
 public:
  /// The worker has given the sign that its generation's settings wait for. Once for each worker.
  virtual void on_ready(WorkerHandle& worker) = 0;
  /// `why` goes on from the worker's name.
  virtual void on_wants_to_retire(WorkerHandle& worker, std::string_view why) = 0;
  /// `how` goes on from the worker's name.
  virtual void on_hung(WorkerHandle& worker, std::string_view how) = 0;
  /// The worker answers about connections that it was handed. False: the answer is out of place.
  virtual bool on_answer(WorkerHandle& worker, const protocol::Message& message) = 0;
  /// A worker of Node's cluster says something else.
  virtual void on_cluster(WorkerHandle& worker, const protocol::Message& message) = 0;
  /// The worker wants something of the message bus, or of the shared state: an object with a member "baton".
  virtual void on_bus_message(WorkerHandle& worker, const boost::json::object& said) = 0;
  /// The worker has a message for the master.
  virtual void on_words(WorkerHandle& worker, const boost::json::value& words) = 0;
  /// The worker's channel may have room now, where send_now() or send_message() found none.
  virtual void on_writable(WorkerHandle& worker) = 0;
  /// The worker's channel has ended, though its process may live on.
  virtual void on_channel_end(WorkerHandle& worker) = 0;
  /// The worker's process is reaped; the record goes after this.
  virtual void on_exit(WorkerHandle& worker, const Ending& ending) = 0;

 protected:
  WorkerObserver() = default;
  WorkerObserver(const WorkerObserver&) = default;
  WorkerObserver& operator=(const WorkerObserver&) = default;
  ~WorkerObserver() = default;
};

}  // namespace baton
