// Any process with an event loop. Says when it is this process's turn to accept from a listening socket that other
// processes accept from too. Owns the listening descriptor, and a thread that does nothing but wait.
//
// The thread stands in line for the process: it waits in an epoll of its own that holds the listener with
// EPOLLEXCLUSIVE, so that one connection wakes one process. Woken, it takes the listener out of the epoll, and so the
// process out of the line, and rings the bell: a descriptor for the loop. The loop accepts, and puts the listener back
// when it wants one more, which is the end of the line. So idle processes take exact turns; one that is full takes
// none, and one that is busy takes one that it can't use at once.
//
// Of that one the kernel has told nobody else, and neither of one whose process died at this moment. So whoever is in
// line also looks every 70 ms, and takes what has been left. After two seconds without a turn the thread sleeps until
// any process gets the next connection (that wakes all sleepers, of which one finds it), then looks again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "common/fd.hpp"

namespace baton {

class Turnstile {
 public:
  /// Takes a listening stream socket. Throws std::system_error.
  explicit Turnstile(Fd listener);
  Turnstile(const Turnstile&) = delete;
  Turnstile& operator=(const Turnstile&) = delete;
  /// Waits for the thread's end, which is at once.
  ~Turnstile();

  /// Readable once it may be our turn.
  [[nodiscard]] const Fd& bell() const { return bell_; }

  // The loop's, never two at a time:

  /// One more connection is wanted.
  void enter() noexcept;
  /// One less.
  void leave() noexcept;

  struct Accepted {
    Fd connection;  ///< close-on-exec and non-blocking
    int error = 0;  ///< EAGAIN: there was none, and as many as before are wanted. Else one less, as with a connection.
  };
  /// To be called when the bell is readable.
  Accepted accept() noexcept;

  /// Out of turn, one that is queued already; none wanted before is had by that.
  [[nodiscard]] Fd accept_queued() const noexcept;

 private:
  enum class Place : std::uint8_t {
    away,     ///< nothing is wanted, or the loop is about to accept
    in_line,  ///< the listener is in the epoll, or about to be
    aside,    ///< instead of in line: until the next look
    called,   ///< out of the line again, and the bell rings
  };

  void line_up() noexcept;
  void step_aside() noexcept;
  void nudge() const noexcept;

  // The thread's:
  void run() noexcept;
  void look() noexcept;
  void call(Place from) noexcept;
  void fall_asleep() noexcept;
  void wake_up() noexcept;

  Fd listener_;
  Fd alarm_;  ///< the same socket: an epoll watches it once for each number
  Fd bell_;
  Fd nudge_;  ///< for the thread
  Fd epoll_;

  std::atomic<Place> place_ = Place::away;
  std::atomic<bool> held_back_ = false;  ///< an accept has failed: no other before the next look
  std::atomic<bool> stopping_ = false;
  std::size_t wanted_ = 0;  ///< the loop's
  int looks_in_vain_ = 0;   ///< the thread's, and so is:
  bool is_asleep_ = false;

  std::thread thread_;
};

}  // namespace baton
