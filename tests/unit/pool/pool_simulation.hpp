// Unit tests of the plan. Made-up workers follow it as processes would, with the time in the test's hand.
#pragma once

#include <algorithm>
#include <vector>

#include "master/pool/pool.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {

using namespace std::chrono_literals;

constexpr TimeLimits pool_limits{30s, 30s};

/// Does what the plan says, as the supervisor would.
class PoolSimulation {
 public:
  explicit PoolSimulation(unsigned target) { pool.set_target(target); }

  /// Follows the plan until it asks for nothing more. Returns the slots that were started.
  std::vector<unsigned> follow() {
    std::vector<unsigned> started;
    for (;;) {
      const Pool::Steps steps = pool.plan(now);
      breaker_opened = breaker_opened || steps.open_breaker;
      for (const int id : steps.retire) pool.apply(id, Event::retire, now);
      for (const unsigned slot : steps.start) {
        pool.started(++last, slot, now, pool_limits);
        started.push_back(slot);
      }
      most_alive = std::max(most_alive, pool.members().size());
      if (steps.start.empty() && steps.retire.empty()) return started;
      REQUIRE(started.size() < 10'000);
    }
  }

  std::vector<int> in(State state) const {
    std::vector<int> found;
    for (const auto& [id, member] : pool.members())
      if (member.life.state() == state) found.push_back(id);
    return found;
  }
  void make_ready(int id) { pool.apply(id, Event::got_ready, now); }
  void make_all_ready() {
    for (const int id : in(State::starting)) make_ready(id);
  }
  void finish_draining() {
    for (const int id : in(State::draining)) CHECK_FALSE(pool.ended(id, now, false).is_failure);
  }
  Loss die(int id, bool from_outside = false) { return pool.ended(id, now, from_outside); }
  void settle() {
    for (int i = 0; i < 1000 && !pool.is_settled(); ++i) {
      follow();
      make_all_ready();
      follow();
      finish_draining();
    }
    REQUIRE(pool.is_settled());
  }
  void run_full() {
    settle();
    now += 2min;
  }

  double chance = 0;
  Pool pool{[this] { return chance; }};
  TimePoint now{};
  int last = 0;
  std::size_t most_alive = 0;
  bool breaker_opened = false;
};

using Slots = std::vector<unsigned>;

}  // namespace baton::test
