// Master. The policies whose master accepts, for the workers as they are: which of them take part, which listeners are
// served, and when one has acknowledged all that it was handed. Under every other policy it does nothing.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "master/dispatch/dispatcher.hpp"
#include "master/process/process_table.hpp"

namespace baton {

class ConnectionHanding {
 public:
  using Groups = std::vector<std::shared_ptr<ListenerGroup>>;

  ConnectionHanding(boost::asio::any_io_executor executor, ProcessTable& processes)
      : executor_(std::move(executor)), processes_(processes) {}

  /// Of a policy that hands connections over; of another it does nothing.
  void start(Policy policy);
  [[nodiscard]] bool is_active() const { return dispatcher_ != nullptr; }

  /// Serves what listens there, where it does not yet. What listens no more is closed already.
  void open(const Groups& groups);
  /// The worker is ready: it gets connections of its generation's listeners, or those of serve().
  void begin(const WorkerHandle& worker);
  /// A worker of Node's cluster gets connections of this listener, which it knows by that name.
  void serve(const WorkerHandle& worker, const Vault& vault, std::string_view name_there);
  void forgo(const WorkerHandle& worker, const Vault& vault);

  /// The worker gets no more. `then` runs once it has acknowledged what it was handed, and at the latest after a
  /// second.
  void retire(const WorkerHandle& worker, const std::function<void()>& then);
  /// Its process is no more: what it had not acknowledged goes to others.
  void remove(const WorkerHandle& ended);
  /// The same for one whose channel has ended.
  void disconnect(const WorkerHandle& worker);

  /// What a worker says of the connections that it was handed. False: it is out of place.
  bool on_answer(const WorkerHandle& worker, const protocol::Message& message);
  void on_writable(const WorkerHandle& worker);

  /// Adds to what `baton status` says of a worker how many connections it has.
  void describe(const WorkerHandle& worker, boost::json::object& described) const;

 private:
  boost::asio::any_io_executor executor_;
  ProcessTable& processes_;
  std::unique_ptr<Dispatcher> dispatcher_;
  Policy policy_ = Policy::shared;
};

}  // namespace baton
