// Master. What workers are sent on their channels: at once, or as soon as they read. Owns no channel, but the tasks
// that wait for room in one, and what is gathered to go out in one write.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "master/process/worker_handle.hpp"
#include "master/process/worker_observer.hpp"

namespace baton {

class ChannelWriter {
 public:
  ChannelWriter(boost::asio::any_io_executor executor, WorkerObserver& observer)
      : executor_(std::move(executor)), observer_(observer) {}

  /// A line of the master's own, with the descriptor that it brings. The log says once for each worker where it is lost
  /// because the worker does not read.
  void send(WorkerHandle& worker, std::string_view line, std::optional<Fd> handle = std::nullopt);
  /// As Channel::send_now(); what it leaves to be sent is sent. `full`: on_writable() tells when there is room.
  Channel::Sent send_now(WorkerHandle& worker, std::string_view line, std::span<const int> handles);
  /// A message without a descriptor. `full`: it is not sent; on_writable() tells when there is room.
  Channel::Sent send_message(WorkerHandle& worker, std::string_view line);

  /// From here on send_message() keeps what it is given, so that many answers go out in one write.
  void start_gathering() { gathers_ = true; }
  /// Sends what was gathered by now.
  void flush_gathered();
  void stop_gathering();

 private:
  using Handle = std::shared_ptr<WorkerHandle>;

  Channel::Sent note(WorkerHandle& worker, Channel::Sent sent);
  void flush_later(WorkerHandle& worker);
  boost::asio::awaitable<void> flush(Handle worker);

  boost::asio::any_io_executor executor_;
  WorkerObserver& observer_;
  bool gathers_ = false;
  std::map<int, Handle> gathered_;  ///< whom there is something for, by id
};

}  // namespace baton
