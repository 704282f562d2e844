// Unit tests of the plan: how many workers there are to be, and which of them go. No process is started.
#include "tests/unit/pool/pool_simulation.hpp"

namespace baton::test {

TEST_CASE("every slot is filled, once") {
  PoolSimulation simulation(3);
  CHECK(simulation.follow() == Slots{1, 2, 3});
  CHECK(simulation.follow().empty());
  CHECK_FALSE(simulation.pool.is_settled());
  simulation.make_all_ready();
  CHECK(simulation.pool.is_settled());
  CHECK(simulation.pool.ready() == 3);
}

TEST_CASE("scaling up fills the new slots, scaling down retires the highest") {
  PoolSimulation simulation(2);
  simulation.run_full();
  simulation.pool.set_target(4);
  CHECK(simulation.follow() == Slots{3, 4});
  simulation.make_all_ready();
  CHECK(simulation.pool.is_settled());
  simulation.pool.set_target(1);
  simulation.follow();
  CHECK(simulation.in(State::draining).size() == 3);
  CHECK(simulation.pool.members().at(simulation.in(State::ready).front()).slot == 1);
  CHECK(simulation.pool.is_settled());
}

TEST_CASE("scaling down waits until somebody who stays is ready") {
  PoolSimulation simulation(2);
  simulation.run_full();
  simulation.die(simulation.in(State::ready).front());
  simulation.pool.set_target(1);
  CHECK(simulation.follow() == Slots{1});
  CHECK(simulation.in(State::draining).empty());
  simulation.make_all_ready();
  simulation.follow();
  CHECK(simulation.in(State::draining).size() == 1);
}

TEST_CASE("scaling to nothing and back") {
  PoolSimulation simulation(2);
  simulation.run_full();
  simulation.pool.set_target(0);
  CHECK(simulation.follow().empty());
  simulation.finish_draining();
  CHECK(simulation.pool.members().empty());
  CHECK(simulation.pool.is_settled());
  CHECK_FALSE(simulation.breaker_opened);
  simulation.pool.set_target(2);
  CHECK(simulation.follow() == Slots{1, 2});
}

TEST_CASE("one that is worn out gets a successor first") {
  PoolSimulation simulation(2);
  simulation.run_full();
  const int worn = simulation.in(State::ready).front();
  simulation.pool.condemn(worn);
  CHECK(simulation.follow() == Slots{1});
  CHECK(simulation.in(State::ready).size() == 2);
  CHECK_FALSE(simulation.pool.is_settled());
  simulation.make_all_ready();
  simulation.follow();
  CHECK(simulation.in(State::draining) == std::vector<int>{worn});
  CHECK(simulation.pool.is_settled());
}

TEST_CASE("of those who are all worn out before anybody else is ready, the youngest serves on, and gets a successor") {
  PoolSimulation simulation(1);
  simulation.run_full();
  const int first = simulation.in(State::ready).front();
  simulation.pool.condemn(first);
  CHECK(simulation.follow() == Slots{1});
  const int second = simulation.last;
  simulation.pool.condemn(second);
  CHECK(simulation.follow().empty());
  CHECK(simulation.in(State::draining).empty());
  simulation.make_ready(second);
  simulation.follow();
  CHECK(simulation.in(State::draining) == std::vector<int>{first});
  simulation.finish_draining();
  CHECK(simulation.follow() == Slots{1});
  simulation.make_all_ready();
  simulation.follow();
  CHECK(simulation.in(State::draining) == std::vector<int>{second});
  CHECK(simulation.pool.is_settled());
}

TEST_CASE("when its successor fails, it stays, and the next try waits") {
  PoolSimulation simulation(1);
  simulation.run_full();
  const int worn = simulation.in(State::ready).front();
  simulation.pool.condemn(worn);
  for (int failures = 1; failures <= 3; ++failures) {
    CHECK(simulation.follow() == Slots{1});
    simulation.now += simulation.die(simulation.last).delay;
  }
  CHECK(simulation.in(State::ready) == std::vector<int>{worn});
  CHECK_FALSE(simulation.breaker_opened);
}

TEST_CASE("scaling up again while the old ones still drain is not held up by them") {
  PoolSimulation simulation(8);
  simulation.run_full();
  simulation.pool.set_target(1);
  simulation.follow();
  CHECK(simulation.in(State::draining).size() == 7);
  simulation.pool.set_target(8);
  CHECK(simulation.follow().size() == 7);
  simulation.make_all_ready();
  CHECK(simulation.pool.is_settled());
  CHECK(simulation.pool.members().size() == 15);
}

TEST_CASE("of two workers of one slot, however they came there, one goes when the other is ready") {
  PoolSimulation simulation(1);
  simulation.run_full();
  simulation.pool.started(++simulation.last, 1, simulation.now, pool_limits);
  CHECK_FALSE(simulation.pool.is_settled());
  simulation.make_all_ready();
  simulation.follow();
  CHECK(simulation.in(State::ready).size() == 1);
  CHECK(simulation.pool.is_settled());
}

TEST_CASE("thousands of workers are planned for in no time") {
  PoolSimulation simulation(4096);
  simulation.run_full();
  simulation.pool.set_surge(64);
  simulation.pool.begin_reload(2, simulation.now);
  std::size_t plans = 0;
  while (!simulation.pool.is_settled()) {
    simulation.follow();
    simulation.make_all_ready();
    simulation.finish_draining();
    ++plans;
  }
  CHECK(plans <= 4096 / 64 + 2);
}

}  // namespace baton::test
