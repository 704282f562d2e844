// Master. What commands' workers write: read from their pipes, and shown line by line on the master's own streams or in
// their generation's file. Owns the way to the master's streams, and the tasks that wait for the pipes.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "master/output/output_files.hpp"
#include "master/process/worker_handle.hpp"

namespace baton {

class OutputReader {
 public:
  /// Throws std::system_error.
  explicit OutputReader(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// Starts to read what this worker writes, until the end of its pipes.
  void watch(const std::shared_ptr<WorkerHandle>& worker);
  /// Shows what is left of a worker that has ended. Whoever it left behind may hold the pipes open, and is not waited
  /// for.
  void read_last(WorkerHandle& worker);
  /// What still waits to be written gets a second; then nothing waits any more.
  void finish() { streams_.finish(); }

 private:
  using Handle = std::shared_ptr<WorkerHandle>;
  enum class Turn : std::uint8_t { usual, last };

  bool show(const WorkerHandle& worker, OutputEnd& end, Turn turn);
  boost::asio::awaitable<void> follow(Handle worker, std::size_t which);

  boost::asio::any_io_executor executor_;
  StandardStreams streams_{executor_};
};

}  // namespace baton
