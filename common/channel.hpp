// Any process. One end of an IPC channel: a Unix stream socket that carries one JSON value per line, each with the
// descriptors that its kind brings: none, one or many. The wire is Node's own (child_process.fork), so that one
// protocol serves our workers and Node's. Owns the socket, the bytes not yet sent or understood, and every descriptor
// in either direction.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fd.hpp"
#include "common/protocol.hpp"

namespace baton {

/// One received line, parsed, with what came with it.
struct Frame {
  boost::json::value value;
  std::optional<Fd> handle;      ///< of a message that brings one descriptor
  std::vector<Fd> handles = {};  ///< of one that brings any number: all that could be received, the first ones
};

class Channel {
 public:
  /// Bytes in one line, or waiting to be sent, beyond which a peer is refused.
  struct Limits {
    std::size_t line = std::size_t{4} << 20;
    std::size_t unsent = std::size_t{8} << 20;
    std::size_t depth = protocol::deepest;  ///< levels of JSON; a line beyond is left out
  };

  /// What one call of receive() found. The frames are whole and in order.
  struct Batch {
    std::vector<Frame> frames;
    std::vector<std::string> faults;  ///< what the peer did wrong, a sentence each; the stream goes on
    bool closed = false;              ///< end of file, a broken socket, or a line over the limit: nothing follows
  };

  enum class Sent {
    whole,   ///< handed to the kernel
    queued,  ///< kept until flush()
    full,    ///< refused: the peer does not read, and the queue is at its limit
    closed,  ///< the peer has gone
  };

  /// Takes a connected stream socket of any owner and makes it non-blocking and CLOEXEC. Throws std::system_error.
  explicit Channel(Fd socket) : Channel(std::move(socket), Limits{}) {}
  Channel(Fd socket, Limits limits);

  [[nodiscard]] const Fd& socket() const { return socket_; }

  /// Reads what has arrived, without blocking and with a bound per call (call again while the socket is readable).
  [[nodiscard]] Batch receive();

  /// Sends `line` (JSON without a newline in it) and, with its first byte, `handle`.
  /// The channel owns the handle from here on, and closes it as soon as the kernel has it.
  Sent send(std::string_view line, std::optional<Fd> handle = std::nullopt);

  /// The same without a descriptor, for several lines in a row: they go out together by the next send() or flush().
  /// `queued` or `full`.
  Sent add(std::string_view line);

  /// Sends `line` and, with its first byte, up to 253 descriptors, which stay the caller's: at once or not at all. For
  /// whoever has another use for them when there is no room. `full`: nothing was sent, and nothing is kept. `queued`:
  /// all was sent but the end of the line.
  Sent send_now(std::string_view line, std::span<const int> handles);

  /// Sends what is queued as far as the socket takes it.
  Sent flush();
  [[nodiscard]] bool has_unsent() const { return !outgoing_.empty(); }

 private:
  struct Outgoing {
    std::string bytes;
    std::size_t sent = 0;
    std::optional<Fd> handle;
  };
  /// Descriptors that one read brought. They belong to a line that began before stream offset `before`.
  struct Arrived {
    std::vector<Fd> handles;
    std::uint64_t before = 0;
    bool is_truncated = false;  ///< there were more
  };

  bool read_once(Batch& batch);
  void take_lines(Batch& batch);
  void take_line(std::string_view line, Batch& batch);
  std::optional<Fd> claim_handle(Batch& batch);
  std::vector<Fd> claim_handles();
  void drop_unclaimed(Batch& batch);

  Fd socket_;
  Limits limits_;
  std::string incoming_;          ///< the line that has begun and not ended
  std::uint64_t line_start_ = 0;  ///< offset in the stream of incoming_'s first byte
  std::size_t searched_ = 0;      ///< bytes of incoming_ known to hold no newline
  std::deque<Arrived> arrived_;
  std::deque<Outgoing> outgoing_;
  std::size_t unsent_ = 0;
};

/// Of many lines that are one another's answers: sent by so many, the peer has work while the others are made, and a
/// system call still costs each of them little.
constexpr std::size_t lines_per_write = 8;

/// The kernel's limit (SCM_MAX_FD).
constexpr std::size_t most_handles_per_message = 253;

/// A connected pair for a channel, both ends CLOEXEC. Throws std::system_error.
std::pair<Fd, Fd> make_channel_pair();

}  // namespace baton
