// Unit tests of the plan during a reload: who is started and who retires, and how it fails. No process is started.
#include "tests/unit/pool/pool_simulation.hpp"

namespace baton::test {

TEST_CASE("a reload starts a successor, and only when it is ready lets the old one go, one after another") {
  PoolSimulation simulation(3);
  simulation.run_full();
  simulation.pool.begin_reload(2, simulation.now);
  for (unsigned slot = 1; slot <= 3; ++slot) {
    CHECK(simulation.follow() == Slots{slot});
    CHECK(simulation.in(State::draining).size() == slot - 1);
    CHECK(simulation.follow().empty());
    simulation.make_all_ready();
  }
  CHECK(simulation.follow().empty());
  CHECK(simulation.in(State::draining).size() == 3);
  CHECK(simulation.pool.is_reloading());
  CHECK(simulation.pool.is_settled());
  CHECK_FALSE(simulation.pool.is_reloading());
  for (const int id : simulation.in(State::ready)) CHECK(simulation.pool.members().at(id).generation == 2);
}

TEST_CASE("a surge replaces that many at a time") {
  PoolSimulation simulation(5);
  simulation.run_full();
  simulation.pool.set_surge(2);
  simulation.pool.begin_reload(2, simulation.now);
  CHECK(simulation.follow() == Slots{1, 2});
  simulation.make_ready(simulation.last);
  CHECK(simulation.follow() == Slots{3});
}

TEST_CASE("never more alive than twice the target, however many reloads and however slow the drains") {
  const unsigned target = GENERATE(1U, 2U, 5U, 16U);
  const unsigned surge = GENERATE(1U, 3U, 100U);
  PoolSimulation simulation(target);
  simulation.pool.set_surge(surge);
  simulation.run_full();
  for (unsigned generation = 2; generation < 30; ++generation) {
    simulation.pool.begin_reload(generation, simulation.now);
    for (int step = 0; step < 200 && !simulation.pool.is_settled(); ++step) {
      simulation.follow();
      simulation.make_all_ready();
      const std::vector<int> draining = simulation.in(State::draining);
      if (step % 3 == 0 && !draining.empty()) simulation.die(draining.front());
    }
    CHECK(simulation.pool.is_settled());
  }
  CHECK(simulation.most_alive <= std::size_t{2} * target);
}

TEST_CASE("a successor that fails before it is ready ends the reload, and the old ones stay or come back") {
  PoolSimulation simulation(3);
  simulation.run_full();
  simulation.pool.begin_reload(2, simulation.now);
  simulation.follow();
  simulation.make_all_ready();  // slot 1 is replaced
  CHECK(simulation.follow() == Slots{2});
  const Loss loss = simulation.die(simulation.last);
  CHECK(loss.ends_reload);
  CHECK_FALSE(simulation.pool.is_reloading());
  CHECK(simulation.pool.generation() == 1);
  CHECK(simulation.follow() == Slots{1});
  simulation.make_all_ready();
  simulation.follow();
  for (const int id : simulation.in(State::ready)) CHECK(simulation.pool.members().at(id).generation == 1);
  CHECK(simulation.in(State::ready).size() == 3);
}

TEST_CASE("the same where it is late, hangs, or can't even be started") {
  PoolSimulation simulation(1);
  simulation.run_full();
  simulation.pool.begin_reload(2, simulation.now);
  CHECK(simulation.follow() == Slots{1});
  simulation.now += 30s;
  CHECK(simulation.pool.fail(simulation.last, Event::timeout, simulation.now).loss->ends_reload);
  CHECK(simulation.pool.generation() == 1);
  CHECK(simulation.in(State::ready).size() == 1);
  simulation.die(simulation.last);
  CHECK(simulation.follow().empty());

  simulation.pool.begin_reload(3, simulation.now);
  CHECK(simulation.pool.not_started(1, simulation.now).ends_reload);
  CHECK(simulation.pool.generation() == 1);
  CHECK(simulation.follow().empty());
}

TEST_CASE("an old worker's death during a reload is no failure of the reload") {
  PoolSimulation simulation(2);
  simulation.run_full();
  simulation.pool.begin_reload(2, simulation.now);
  simulation.follow();
  const Loss loss = simulation.die(simulation.in(State::ready).back());
  CHECK(loss.is_failure);
  CHECK_FALSE(loss.ends_reload);
  CHECK(simulation.pool.is_reloading());
  CHECK(simulation.follow() == Slots{2});
  simulation.make_all_ready();
  simulation.follow();
  CHECK(simulation.pool.is_settled());
}

}  // namespace baton::test
