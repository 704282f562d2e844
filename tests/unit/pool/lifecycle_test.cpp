// Unit tests of a worker's states: the whole table, and the time limits.
#include "master/pool/lifecycle.hpp"

#include <array>

#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;
using S = State;
using E = Event;
using A = Action;

constexpr std::array states{S::starting, S::ready, S::draining, S::stopping, S::aborting, S::killed, S::exited};
constexpr std::array events{E::got_ready, E::retire, E::timeout, E::hung, E::ended};
constexpr TimePoint start{};
constexpr TimeLimits limits{5s, 7s};

struct Row {
  State from;
  Event event;
  State to;
  Action action;
};

// What is not listed changes nothing.
constexpr std::array rows{
    Row{S::starting, E::got_ready, S::ready, A::announce},   Row{S::starting, E::retire, S::draining, A::drain},
    Row{S::starting, E::timeout, S::stopping, A::terminate}, Row{S::starting, E::hung, S::aborting, A::abort},
    Row{S::ready, E::retire, S::draining, A::drain},         Row{S::ready, E::hung, S::aborting, A::abort},
    Row{S::draining, E::timeout, S::stopping, A::terminate}, Row{S::draining, E::hung, S::aborting, A::abort},
    Row{S::stopping, E::timeout, S::killed, A::kill},        Row{S::aborting, E::timeout, S::killed, A::kill},
};

Transition expected(State state, Event event) {
  if (event == E::ended) return {S::exited, A::none};
  for (const Row& row : rows)
    if (row.from == state && row.event == event) return {row.to, row.action};
  return {state, A::none};
}

}  // namespace

TEST_CASE("every event in every state") {
  for (const State state : states) {
    for (const Event event : events) {
      INFO(name(state) << ", event " << static_cast<int>(event));
      const Transition found = transition(state, event);
      CHECK(found.next == expected(state, event).next);
      CHECK(found.action == expected(state, event).action);
    }
  }
}

TEST_CASE("whatever happens to a worker, it comes to its end by timeouts alone once it is asked to leave") {
  for (const Event first : {E::retire, E::hung, E::timeout}) {
    Life life(start, limits);
    TimePoint now = start;
    life.apply(first, now);
    std::vector<Action> actions;
    while (life.deadline()) {
      now = *life.deadline();
      actions.push_back(life.apply(E::timeout, now));
      REQUIRE(actions.size() < 5);
    }
    CHECK(actions.back() == A::kill);
    CHECK(life.state() == S::killed);
    CHECK(now - start <= 9s);
  }
}

TEST_CASE("each state has its time limit, counted from its beginning") {
  Life life(start, limits);
  CHECK(life.deadline() == start + 5s);
  CHECK(life.apply(E::got_ready, start + 2s) == A::announce);
  CHECK(life.since() == start + 2s);
  CHECK_FALSE(life.deadline());
  CHECK(life.apply(E::got_ready, start + 3s) == A::none);
  CHECK(life.since() == start + 2s);
  CHECK(life.apply(E::retire, start + 10s) == A::drain);
  CHECK(life.deadline() == start + 17s);
  CHECK(life.apply(E::retire, start + 11s) == A::none);
  CHECK(life.deadline() == start + 17s);
  CHECK(life.apply(E::timeout, start + 17s) == A::terminate);
  CHECK(life.deadline() == start + 18s);
  CHECK(life.apply(E::timeout, start + 18s) == A::kill);
  CHECK_FALSE(life.deadline());
  CHECK(life.apply(E::ended, start + 19s) == A::none);
  CHECK(life.state() == S::exited);
}

TEST_CASE("only those who start or are ready stay") {
  for (const State state : states) CHECK(is_staying(state) == (state == S::starting || state == S::ready));
}

}  // namespace baton::test
