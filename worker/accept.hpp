// Worker. Accepts from one listener that other processes accept from too. Owns the listening descriptor.
//
// The listener waits in our epoll with EPOLLEXCLUSIVE, so that one connection wakes one worker. The kernel walks such
// waiters from a fixed end, and would wake the same idle worker every time; taking the listener out and putting it
// back after each accept moves this worker to the other end, so that idle workers take exact turns.
// (nginx does the same every 16 accepts: ngx_reorder_accept_events.)
#pragma once

#include <cstdint>
#include <functional>

#include "common/fd.hpp"
#include "common/scoreboard.hpp"
#include "worker/poller.hpp"
#include "worker/turns.hpp"

namespace baton {

class Acceptor final : public EventHandler {
 public:
  using OnConnection = std::function<void(Fd)>;
  /// Called with the errno when the process or the system has no room for one more connection.
  using OnExhausted = std::function<void(int)>;

  /// `listener` is a listening stream socket. Throws std::system_error.
  Acceptor(Poller& poller, Counters& counters, Turns& turns, Fd listener, OnConnection on_connection,
           OnExhausted on_exhausted);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  ~Acceptor() { pause(); }  // closing is not enough: see Poller

  void on_events(std::uint32_t events) override;

  /// Takes no turn until resume(): what arrives wakes the other workers.
  void pause();
  void resume();

  /// Accepts one connection if one is queued: that whose wake-up went to a worker which died before it could accept.
  /// To be called now and then.
  void glance();

  /// While paused: whether a connection waits.
  [[nodiscard]] bool has_left_over() const;
  /// glance() while paused. Returns whether there was one.
  bool take_left_over();

  /// Whether it accepts from the socket that another process knows by this number (SO_COOKIE).
  [[nodiscard]] bool serves(std::uint64_t cookie) const { return cookie_ == cookie; }

  /// Accepts what is queued now, with a bound. For a worker that will not be back.
  void sweep();

 private:
  enum class Outcome : std::uint8_t { taken, none, exhausted };
  Outcome accept_one();
  void line_up_again();
  void restore_listening();

  Poller& poller_;
  Counters& counters_;
  Turns& turns_;
  Fd listener_;
  std::uint64_t cookie_;
  OnConnection on_connection_;
  OnExhausted on_exhausted_;
  bool is_unix_;
  bool waiting_ = false;
  bool broken_ = false;  ///< for ever: no connection will come from this listener
};

}  // namespace baton
