// Master. The states of one worker process, as a table: which event leads from which state to which, and what is to be
// done on the way. Pure: no process, no clock; the time is passed in.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/clock.hpp"

namespace baton {

enum class State : std::uint8_t {
  starting,  ///< spawned, not ready yet
  ready,     ///< takes connections
  draining,  ///< was asked to finish
  stopping,  ///< was told to end: it was late in getting ready, or in finishing
  aborting,  ///< was hung, and gets a moment to write its core
  killed,    ///< has been sent KILL
  exited,    ///< is no more
};

enum class Event : std::uint8_t {
  got_ready,
  retire,   ///< a successor has taken over, or it is not wanted any more
  timeout,  ///< the state's time limit has passed
  hung,     ///< no sign of life for too long
  ended,    ///< the process has ended
};

enum class Action : std::uint8_t { none, announce, drain, terminate, abort, kill };

struct Transition {
  State next;
  Action action;
};

/// What follows from `event` in `state`. Every pair has an answer: an event that means nothing there changes nothing.
Transition transition(State state, Event event);

struct TimeLimits {
  Milliseconds ready{30'000};  ///< from spawn to ready
  Milliseconds drain{30'000};  ///< from retire to the end
};

/// How long a worker may stay in that state; nothing: for ever.
std::optional<Milliseconds> time_limit(State state, const TimeLimits& limits);

/// "backing_off" is the name of a slot without a worker, and not here: see pool.hpp.
std::string_view name(State state);

/// Whether it was not asked to leave, and does or will serve.
constexpr bool is_staying(State state) {
  return state == State::starting || state == State::ready;
}

/// One worker's way through the table.
class Life {
 public:
  Life(TimePoint now, const TimeLimits& limits) : limits_(limits) { enter(State::starting, now); }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] TimePoint since() const { return since_; }
  /// When Event::timeout is due.
  [[nodiscard]] std::optional<TimePoint> deadline() const { return deadline_; }
  [[nodiscard]] const TimeLimits& limits() const { return limits_; }

  /// Returns what is to be done.
  Action apply(Event event, TimePoint now);

 private:
  void enter(State state, TimePoint now);

  TimeLimits limits_;
  State state_ = State::starting;
  TimePoint since_;
  std::optional<TimePoint> deadline_;
};

}  // namespace baton
