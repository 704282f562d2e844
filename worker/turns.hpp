// Worker. Keeps turns even where the kernel can't: in a burst, connections are queued faster than woken workers get a
// CPU, and whoever runs first would take them all. So each worker shows on the scoreboard how many turns it has had,
// and one that is ahead of its neighbours stays out of line for a moment, in which they take theirs. After fair
// queueing, turns are virtual: a worker that comes (back) starts where the others are, without arrears.
//
// Under full load, to wait for the others to be exactly level is to leave a CPU idle now and again. So a worker may be
// ahead by a hundredth of the turns that it has had lately, too.
//
// Out of line is not out of work: a connection that nobody has taken in that moment is taken after all. Then the others
// must be busy, and the worker may be a quarter further ahead before it is patient again; that is forgotten by half
// each 100 ms. But where the queue was empty before, or the others have had turns, what waits in the end has come
// since, for a queue is first in, first out: others have just been woken for that, and it is theirs.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/scoreboard.hpp"

namespace baton {

class Turns {
 public:
  using Clock = std::chrono::steady_clock;

  /// The neighbours are those in `counters`; as long as it has none, nobody is ahead of anybody. Neither is where
  /// workers don't `share` a listener.
  Turns(Counters& counters, bool share) : counters_(counters), share_(share) {}

  /// To be called after every wait.
  void set_time(Clock::time_point now) { now_ = now; }

  /// This worker takes connections from now on.
  void join();
  /// It doesn't: who is ahead is reckoned without it.
  void leave();

  /// It has taken one.
  void take();
  /// Others are to be first.
  [[nodiscard]] bool is_ahead() const;

  /// It stays out of line until may_return(). `are_waiting`: connections are queued.
  void step_out(bool are_waiting);
  [[nodiscard]] bool is_out() const { return is_out_; }
  /// When it may return at the latest. Only while it is out.
  [[nodiscard]] Clock::time_point latest_return() const { return latest_return_; }
  /// The others have caught up, or had the time to.
  [[nodiscard]] bool may_return() const { return now_ >= latest_return_ || !is_ahead(); }
  /// Connections are queued and the time is up: whether it stays out for another moment all the same, because these
  /// have come since. Not for many moments.
  bool stay_out();
  /// `in_vain`: connections had been left waiting.
  void come_back(bool in_vain);

 private:
  struct Others {
    std::uint64_t furthest = 0;
    std::int64_t count = 0;
    std::uint64_t arrears = 0;  ///< theirs, together; unsigned, so that no value in shared memory can overflow it
  };
  [[nodiscard]] Others look_at_others() const;
  void measure_load();

  Counters& counters_;
  bool share_;
  Clock::time_point now_ = Clock::now();
  bool is_out_ = false;
  Clock::time_point latest_return_{};
  Clock::time_point end_of_patience_{};
  bool saw_waiting_ = false;        ///< when it stepped out, or last stayed out
  std::uint64_t arrears_seen_ = 0;  ///< then
  std::int64_t recent_turns_ = 0;   ///< in this window
  Clock::time_point window_end_{};
  std::int64_t busy_lead_ = 0;     ///< what is allowed besides, for the turns of this window and the last
  std::int64_t allowed_lead_ = 1;  ///< over the others' mean
};

}  // namespace baton
