// Master. Somewhere that lines go to and that may take them slowly, or never: a pipe whose reader sleeps, a full disk.
// Writing never blocks. What does not go out at once waits, up to a limit; beyond it lines are dropped and counted, and
// a note among those that follow says how many.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/fd.hpp"
#include "master/system/watch.hpp"

namespace baton {

class OutputSink : public std::enable_shared_from_this<OutputSink> {
 public:
  /// `name` is what the note calls it: "standard error". To be held by shared_ptr.
  OutputSink(boost::asio::any_io_executor executor, Fd target, std::string name);
  OutputSink(const OutputSink&) = delete;
  OutputSink& operator=(const OutputSink&) = delete;
  ~OutputSink() = default;

  /// `line` with its newline. It is dropped where more than `most_waiting` bytes would wait with it.
  void write(std::string_view line, std::size_t most_waiting);
  /// As write(), but it may go out with later ones: flush() sends those that have not.
  void add(std::string_view line, std::size_t most_waiting);
  void flush();
  /// Waits for what is left to go out, but no longer than this; nothing waits any more from then on.
  void finish(std::chrono::milliseconds patience);

 private:
  enum class Taken : std::uint8_t { all, some, failed };

  Taken push();
  void note_dropped();
  void await_room();
  bool make_watch();
  [[nodiscard]] bool wait_for_room() const;
  [[nodiscard]] ssize_t write_some() const;
  boost::asio::awaitable<void> follow_room();

  boost::asio::any_io_executor executor_;
  Fd target_;
  std::string name_;
  bool is_socket_ = false;
  bool may_block_ = false;        ///< its writes do unless poll(2) is asked first
  Fd room_;                       ///< an epoll, readable when the target takes more; while it is full
  std::unique_ptr<Watch> watch_;  ///< of that; after it: destroyed before it closes
  std::string waiting_;
  std::uint64_t dropped_ = 0;  ///< lines, since the last note
  std::uint64_t noted_ = 0;    ///< lines that a note says were dropped, which waits itself
  bool has_failed_ = false;    ///< the last write, which has been told
  bool awaits_room_ = false;
  bool is_finished_ = false;
  std::chrono::steady_clock::time_point give_up_at_{};
};

/// A descriptor for what `stream` (1 or 2) of this process is, whose writes don't block where that can be had without
/// the other processes that share the stream noticing. Throws std::system_error.
Fd nonblocking_copy(int stream);

}  // namespace baton
