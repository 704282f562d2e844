// Master. The table.
#include "master/pool/lifecycle.hpp"

#include <array>

namespace baton {
namespace {

constexpr std::size_t state_count = 7;
constexpr std::size_t event_count = 5;

using S = State;
using A = Action;

// clang-format off
constexpr std::array<std::array<Transition, event_count>, state_count> table{{
  //              got_ready                 retire                   timeout                     hung                      ended
  /* starting */ {{{S::ready, A::announce}, {S::draining, A::drain}, {S::stopping, A::terminate}, {S::aborting, A::abort}, {S::exited, A::none}}},
  /* ready    */ {{{S::ready, A::none},     {S::draining, A::drain}, {S::ready, A::none},         {S::aborting, A::abort}, {S::exited, A::none}}},
  /* draining */ {{{S::draining, A::none},  {S::draining, A::none},  {S::stopping, A::terminate}, {S::aborting, A::abort}, {S::exited, A::none}}},
  /* stopping */ {{{S::stopping, A::none},  {S::stopping, A::none},  {S::killed, A::kill},        {S::stopping, A::none},  {S::exited, A::none}}},
  /* aborting */ {{{S::aborting, A::none},  {S::aborting, A::none},  {S::killed, A::kill},        {S::aborting, A::none},  {S::exited, A::none}}},
  /* killed   */ {{{S::killed, A::none},    {S::killed, A::none},    {S::killed, A::none},        {S::killed, A::none},    {S::exited, A::none}}},
  /* exited   */ {{{S::exited, A::none},    {S::exited, A::none},    {S::exited, A::none},        {S::exited, A::none},    {S::exited, A::none}}},
}};
// clang-format on

constexpr std::array<std::string_view, state_count> names{"starting", "ready",  "draining", "stopping",
                                                          "aborting", "killed", "exited"};

// Enough to run a handler or to write a core; a worker that would need more had its own time limit before this.
constexpr Milliseconds last_moment{1000};

}  // namespace

Transition transition(State state, Event event) {
  return table.at(static_cast<std::size_t>(state)).at(static_cast<std::size_t>(event));
}

std::optional<Milliseconds> time_limit(State state, const TimeLimits& limits) {
  switch (state) {
    case State::starting:
      return limits.ready;
    case State::draining:
      return limits.drain;
    case State::stopping:
    case State::aborting:
      return last_moment;
    case State::ready:
    case State::killed:
    case State::exited:
      return std::nullopt;
  }
  return std::nullopt;
}

std::string_view name(State state) {
  return names.at(static_cast<std::size_t>(state));
}

Action Life::apply(Event event, TimePoint now) {
  const Transition found = transition(state_, event);
  if (found.next != state_) enter(found.next, now);
  return found.action;
}

void Life::enter(State state, TimePoint now) {
  state_ = state;
  since_ = now;
  const std::optional<Milliseconds> limit = time_limit(state, limits_);
  deadline_ = limit ? std::optional(now + *limit) : std::nullopt;
}

}  // namespace baton
