// Worker. All listeners that this worker accepts from, and when it does: not while every place is taken, while there
// are no descriptors left, or while others are to have their turns. Owns the acceptors; connections go to the sessions.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/fd.hpp"
#include "common/scoreboard.hpp"
#include "worker/accept.hpp"
#include "worker/poller.hpp"
#include "worker/sessions.hpp"
#include "worker/turns.hpp"

namespace baton {

class Acceptors {
 public:
  using Clock = std::chrono::steady_clock;

  /// `take_turns`: its workers share their listeners. What it is given outlives it.
  Acceptors(Poller& poller, Counters& counters, Sessions& sessions, bool take_turns);

  /// Accepts from a listening stream socket from now on. Throws std::system_error.
  void add(Fd listener);
  /// Accepts no more from the socket with this number (SO_COOKIE), from which others do. But a connection may have
  /// woken this worker alone, and then is its own.
  void give_back(std::uint64_t cookie);
  /// Accepts what is queued already, for these clients believe themselves connected, and then closes all listeners. The
  /// sessions drain already.
  void give_up();

  /// Accepts where there is a place again. To be called after a connection's end.
  void resume();
  /// Accepts one connection of each, if one is queued: that whose wake-up went to a worker which died before it could
  /// accept.
  void glance();

  /// To be called after every wait, before handlers run.
  void set_time(Clock::time_point now);
  /// What is due: to be called once a turn of the loop, after its handlers.
  void look_after();
  /// When something will be due; nothing: it need not be called for the time's sake.
  [[nodiscard]] std::optional<Clock::time_point> next_due(Clock::time_point now) const;

 private:
  void on_connection(Fd connection);
  void on_exhausted(int error);
  void pause();
  void glance_while_busy();
  void return_to_line();

  Poller& poller_;
  Counters& counters_;
  Sessions& sessions_;
  Turns turns_;
  std::vector<std::unique_ptr<Acceptor>> all_;
  std::vector<std::unique_ptr<Acceptor>> given_back_;  ///< until no event of this turn can be theirs
  Clock::time_point now_ = Clock::now();
  bool out_of_descriptors_ = false;
  std::optional<Clock::time_point> retry_;  ///< after descriptors had run out
  std::uint64_t accepted_before_ = 0;       ///< the last time that it was looked at
  Clock::time_point busy_until_{};
  Clock::time_point next_glance_{};
};

}  // namespace baton
