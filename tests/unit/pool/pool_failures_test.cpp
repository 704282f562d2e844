// Unit tests of the plan after failures: the pauses between starts, and the breaker. No process is started.
#include "tests/unit/pool/pool_simulation.hpp"

namespace baton::test {

TEST_CASE("the pause doubles from nothing to half a minute, and chance takes off up to a half") {
  CHECK(backoff(1, 0) == 0ms);
  CHECK(backoff(2, 0) == 100ms);
  CHECK(backoff(3, 0) == 200ms);
  CHECK(backoff(10, 0) == 25'600ms);
  CHECK(backoff(11, 0) == 30s);
  CHECK(backoff(4'000'000'000, 0) == 30s);
  CHECK(backoff(2, 1) == 50ms);
  CHECK(backoff(11, 1) == 15s);
  for (unsigned failures = 2; failures < 40; ++failures) CHECK(backoff(failures, 0.5) >= backoff(failures - 1, 0.5));
}

TEST_CASE("a worker that dies is replaced at once, the next time after a pause that grows") {
  PoolSimulation simulation(2);
  simulation.run_full();
  Milliseconds last{0};
  for (int deaths = 1; deaths <= 12; ++deaths) {
    const int victim = simulation.in(State::ready).back();
    const Loss loss = simulation.die(victim);
    CHECK(loss.is_failure);
    INFO("death " << deaths);
    CHECK(loss.delay == backoff(static_cast<unsigned>(deaths), 0));
    CHECK(loss.delay >= last);
    last = loss.delay;
    if (loss.delay > 0ms) {
      CHECK(simulation.follow().empty());
      CHECK(simulation.pool.next_wake(simulation.now) == simulation.now + loss.delay);
      REQUIRE(simulation.pool.vacancies().size() == 1);
      CHECK(simulation.pool.vacancies().front().failures == static_cast<unsigned>(deaths));
      simulation.now += loss.delay - 1ms;
      CHECK(simulation.follow().empty());
      simulation.now += 1ms;
    }
    CHECK(simulation.follow() == Slots{loss.member.slot});
    simulation.make_all_ready();
    simulation.now += 59s;
  }
  CHECK(last == 30s);
}

TEST_CASE("a healthy minute forgives") {
  PoolSimulation simulation(1);
  simulation.run_full();
  for (int i = 0; i < 3; ++i) {
    CHECK(simulation.die(simulation.in(State::ready).front()).delay == 0ms);
    CHECK(simulation.follow() == Slots{1});
    simulation.make_all_ready();
    simulation.now += 60s;
  }
}

TEST_CASE("one that served until it was killed from outside is replaced at once, however often") {
  PoolSimulation simulation(1);
  simulation.run_full();
  for (int i = 0; i < 50; ++i) {
    CHECK(simulation.die(simulation.in(State::ready).front(), true).delay == 0ms);
    CHECK(simulation.follow() == Slots{1});
    simulation.make_all_ready();
  }
  // But not one that is killed before it could serve: that is a loop.
  for (int i = 0; i < 3; ++i) {
    simulation.die(simulation.pool.members().begin()->first, true);
    simulation.now += 1s;
    simulation.follow();
  }
  CHECK(simulation.die(simulation.pool.members().begin()->first, true).delay > 100ms);
}

TEST_CASE("one that is late or hangs is replaced before it has ended, and counts once") {
  PoolSimulation simulation(1);
  simulation.follow();
  const int late = simulation.last;
  simulation.now += 30s;
  const Pool::Failed failed = simulation.pool.fail(late, Event::timeout, simulation.now);
  CHECK(failed.action == Action::terminate);
  REQUIRE(failed.loss.has_value());
  CHECK(simulation.follow() == Slots{1});
  simulation.now += 1s;
  const Pool::Failed again = simulation.pool.fail(late, Event::timeout, simulation.now);
  CHECK(again.action == Action::kill);
  CHECK_FALSE(again.loss.has_value());
  CHECK_FALSE(simulation.die(late).is_failure);

  simulation.make_all_ready();
  const Pool::Failed hung = simulation.pool.fail(simulation.last, Event::hung, simulation.now);
  CHECK(hung.action == Action::abort);
  REQUIRE(hung.loss.has_value());
  CHECK(hung.loss->delay == 100ms);
}

TEST_CASE(
    "when every slot fails again and again, the breaker opens, one is tried at a time, and a ready one closes it") {
  PoolSimulation simulation(3);
  for (int i = 0; i < 100 && !simulation.breaker_opened; ++i) {
    simulation.follow();
    for (const int id : simulation.in(State::starting)) simulation.die(id);
    simulation.now += 1s;
  }
  REQUIRE(simulation.breaker_opened);
  CHECK(simulation.pool.breaker_is_open());
  simulation.breaker_opened = false;
  for (int trials = 0; trials < 20; ++trials) {
    simulation.now += 30s;
    CHECK(simulation.follow() == Slots{1});
    CHECK(simulation.pool.members().size() == 1);
    simulation.die(simulation.last);
  }
  CHECK_FALSE(simulation.breaker_opened);  // it is told once
  simulation.now += 30s;
  CHECK(simulation.follow() == Slots{1});
  simulation.make_all_ready();
  CHECK_FALSE(simulation.pool.breaker_is_open());
  CHECK(simulation.follow() == Slots{2, 3});
}

TEST_CASE("the breaker stays closed while anybody serves, and while deaths come from outside") {
  PoolSimulation simulation(2);
  simulation.run_full();
  for (int i = 0; i < 20; ++i) {
    simulation.die(simulation.in(State::ready).back());
    simulation.now += 30s;
    simulation.follow();
    simulation.make_all_ready();
  }
  CHECK_FALSE(simulation.breaker_opened);
  for (int i = 0; i < 20; ++i) {
    simulation.now += 200ms;
    for (const int id : simulation.in(State::ready)) simulation.die(id, true);
    CHECK(simulation.follow() == Slots{1, 2});
    simulation.make_all_ready();
  }
  CHECK_FALSE(simulation.breaker_opened);
}

TEST_CASE("a reload while the breaker is open tries at once, for the operator has mended something") {
  PoolSimulation simulation(2);
  for (int i = 0; i < 100 && !simulation.breaker_opened; ++i) {
    simulation.follow();
    for (const int id : simulation.in(State::starting)) simulation.die(id);
    simulation.now += 1s;
  }
  simulation.pool.begin_reload(2, simulation.now);
  CHECK(simulation.follow() == Slots{1});
  simulation.make_all_ready();
  CHECK(simulation.follow() == Slots{2});
  simulation.make_all_ready();
  CHECK(simulation.pool.is_settled());
}

}  // namespace baton::test
