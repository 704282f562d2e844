// Master. What workers show of themselves besides their channels: by sd_notify(3), on Einhorn's socket, and in what the
// kernel tells of a program that says nothing. Owns the tasks that wait for it, one or more for each worker.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <utility>

#include "master/process/worker_handle.hpp"
#include "master/process/worker_observer.hpp"

namespace baton {

/// Marks the worker ready and tells the observer, where it has not been ready before and now has shown what its
/// settings wait for. To be called after every sign.
void announce_if_ready(WorkerHandle& worker, WorkerObserver& observer);

class ReadinessWatch {
 public:
  ReadinessWatch(boost::asio::any_io_executor executor, WorkerObserver& observer)
      : executor_(std::move(executor)), observer_(observer) {}

  /// Starts to watch what there is to be watched of this worker, until its end.
  void watch(const std::shared_ptr<WorkerHandle>& worker);

 private:
  using Handle = std::shared_ptr<WorkerHandle>;

  boost::asio::awaitable<void> follow_notifications(Handle worker);
  boost::asio::awaitable<void> follow_acknowledgements(Handle worker);
  boost::asio::awaitable<void> await_accepting(Handle worker);

  boost::asio::any_io_executor executor_;
  WorkerObserver& observer_;
};

}  // namespace baton
