// Unit tests of the plan: who is started, who retires, and when. No process is started; a small company of made-up
// workers follows the plan, with the time in the test's hand.
#include "master/pool/pool.hpp"

#include <algorithm>

#include "tests/support/catch.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;

constexpr TimeLimits limits{30s, 30s};

/// Does what the plan says, as the supervisor would.
class Company {
 public:
  explicit Company(unsigned target) { pool.set_target(target); }

  /// Follows the plan until it asks for nothing more. Returns the slots that were started.
  std::vector<unsigned> follow() {
    std::vector<unsigned> started;
    for (;;) {
      const Pool::Steps steps = pool.plan(now);
      breaker_opened = breaker_opened || steps.open_breaker;
      for (const int id : steps.retire) pool.apply(id, Event::retire, now);
      for (const unsigned slot : steps.start) {
        pool.started(++last, slot, now, limits);
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

}  // namespace

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

TEST_CASE("every slot is filled, once") {
  Company company(3);
  CHECK(company.follow() == Slots{1, 2, 3});
  CHECK(company.follow().empty());
  CHECK_FALSE(company.pool.is_settled());
  company.make_all_ready();
  CHECK(company.pool.is_settled());
  CHECK(company.pool.ready() == 3);
}

TEST_CASE("a worker that dies is replaced at once, the next time after a pause that grows") {
  Company company(2);
  company.run_full();
  Milliseconds last{0};
  for (int deaths = 1; deaths <= 12; ++deaths) {
    const int victim = company.in(State::ready).back();
    const Loss loss = company.die(victim);
    CHECK(loss.is_failure);
    INFO("death " << deaths);
    CHECK(loss.delay == backoff(static_cast<unsigned>(deaths), 0));
    CHECK(loss.delay >= last);
    last = loss.delay;
    if (loss.delay > 0ms) {
      CHECK(company.follow().empty());
      CHECK(company.pool.next_wake(company.now) == company.now + loss.delay);
      REQUIRE(company.pool.vacancies().size() == 1);
      CHECK(company.pool.vacancies().front().failures == static_cast<unsigned>(deaths));
      company.now += loss.delay - 1ms;
      CHECK(company.follow().empty());
      company.now += 1ms;
    }
    CHECK(company.follow() == Slots{loss.member.slot});
    company.make_all_ready();
    company.now += 59s;
  }
  CHECK(last == 30s);
}

TEST_CASE("a healthy minute forgives") {
  Company company(1);
  company.run_full();
  for (int i = 0; i < 3; ++i) {
    CHECK(company.die(company.in(State::ready).front()).delay == 0ms);
    CHECK(company.follow() == Slots{1});
    company.make_all_ready();
    company.now += 60s;
  }
}

TEST_CASE("one that served until it was killed from outside is replaced at once, however often") {
  Company company(1);
  company.run_full();
  for (int i = 0; i < 50; ++i) {
    CHECK(company.die(company.in(State::ready).front(), true).delay == 0ms);
    CHECK(company.follow() == Slots{1});
    company.make_all_ready();
  }
  // But not one that is killed before it could serve: that is a loop.
  for (int i = 0; i < 3; ++i) {
    company.die(company.pool.members().begin()->first, true);
    company.now += 1s;
    company.follow();
  }
  CHECK(company.die(company.pool.members().begin()->first, true).delay > 100ms);
}

TEST_CASE("one that is late or hangs is replaced before it has ended, and counts once") {
  Company company(1);
  company.follow();
  const int late = company.last;
  company.now += 30s;
  const Pool::Failed failed = company.pool.fail(late, Event::timeout, company.now);
  CHECK(failed.action == Action::terminate);
  REQUIRE(failed.loss.has_value());
  CHECK(company.follow() == Slots{1});
  company.now += 1s;
  const Pool::Failed again = company.pool.fail(late, Event::timeout, company.now);
  CHECK(again.action == Action::kill);
  CHECK_FALSE(again.loss.has_value());
  CHECK_FALSE(company.die(late).is_failure);

  company.make_all_ready();
  const Pool::Failed hung = company.pool.fail(company.last, Event::hung, company.now);
  CHECK(hung.action == Action::abort);
  REQUIRE(hung.loss.has_value());
  CHECK(hung.loss->delay == 100ms);
}

TEST_CASE("scaling up fills the new slots, scaling down retires the highest") {
  Company company(2);
  company.run_full();
  company.pool.set_target(4);
  CHECK(company.follow() == Slots{3, 4});
  company.make_all_ready();
  CHECK(company.pool.is_settled());
  company.pool.set_target(1);
  company.follow();
  CHECK(company.in(State::draining).size() == 3);
  CHECK(company.pool.members().at(company.in(State::ready).front()).slot == 1);
  CHECK(company.pool.is_settled());
}

TEST_CASE("scaling down waits until somebody who stays is ready") {
  Company company(2);
  company.run_full();
  company.die(company.in(State::ready).front());
  company.pool.set_target(1);
  CHECK(company.follow() == Slots{1});
  CHECK(company.in(State::draining).empty());
  company.make_all_ready();
  company.follow();
  CHECK(company.in(State::draining).size() == 1);
}

TEST_CASE("scaling to nothing and back") {
  Company company(2);
  company.run_full();
  company.pool.set_target(0);
  CHECK(company.follow().empty());
  company.finish_draining();
  CHECK(company.pool.members().empty());
  CHECK(company.pool.is_settled());
  CHECK_FALSE(company.breaker_opened);
  company.pool.set_target(2);
  CHECK(company.follow() == Slots{1, 2});
}

TEST_CASE("a reload starts a successor, and only when it is ready lets the old one go, one after another") {
  Company company(3);
  company.run_full();
  company.pool.begin_reload(2, company.now);
  for (unsigned slot = 1; slot <= 3; ++slot) {
    CHECK(company.follow() == Slots{slot});
    CHECK(company.in(State::draining).size() == slot - 1);
    CHECK(company.follow().empty());
    company.make_all_ready();
  }
  CHECK(company.follow().empty());
  CHECK(company.in(State::draining).size() == 3);
  CHECK(company.pool.is_reloading());
  CHECK(company.pool.is_settled());
  CHECK_FALSE(company.pool.is_reloading());
  for (const int id : company.in(State::ready)) CHECK(company.pool.members().at(id).generation == 2);
}

TEST_CASE("a surge replaces that many at a time") {
  Company company(5);
  company.run_full();
  company.pool.set_surge(2);
  company.pool.begin_reload(2, company.now);
  CHECK(company.follow() == Slots{1, 2});
  company.make_ready(company.last);
  CHECK(company.follow() == Slots{3});
}

TEST_CASE("never more alive than twice the target, however many reloads and however slow the drains") {
  const unsigned target = GENERATE(1U, 2U, 5U, 16U);
  const unsigned surge = GENERATE(1U, 3U, 100U);
  Company company(target);
  company.pool.set_surge(surge);
  company.run_full();
  for (unsigned generation = 2; generation < 30; ++generation) {
    company.pool.begin_reload(generation, company.now);
    for (int step = 0; step < 200 && !company.pool.is_settled(); ++step) {
      company.follow();
      company.make_all_ready();
      const std::vector<int> draining = company.in(State::draining);
      if (step % 3 == 0 && !draining.empty()) company.die(draining.front());
    }
    CHECK(company.pool.is_settled());
  }
  CHECK(company.most_alive <= std::size_t{2} * target);
}

TEST_CASE("a successor that fails before it is ready ends the reload, and the old ones stay or come back") {
  Company company(3);
  company.run_full();
  company.pool.begin_reload(2, company.now);
  company.follow();
  company.make_all_ready();  // slot 1 is replaced
  CHECK(company.follow() == Slots{2});
  const Loss loss = company.die(company.last);
  CHECK(loss.ends_reload);
  CHECK_FALSE(company.pool.is_reloading());
  CHECK(company.pool.generation() == 1);
  CHECK(company.follow() == Slots{1});
  company.make_all_ready();
  company.follow();
  for (const int id : company.in(State::ready)) CHECK(company.pool.members().at(id).generation == 1);
  CHECK(company.in(State::ready).size() == 3);
}

TEST_CASE("the same where it is late, hangs, or can't even be started") {
  Company company(1);
  company.run_full();
  company.pool.begin_reload(2, company.now);
  CHECK(company.follow() == Slots{1});
  company.now += 30s;
  CHECK(company.pool.fail(company.last, Event::timeout, company.now).loss->ends_reload);
  CHECK(company.pool.generation() == 1);
  CHECK(company.in(State::ready).size() == 1);
  company.die(company.last);
  CHECK(company.follow().empty());

  company.pool.begin_reload(3, company.now);
  CHECK(company.pool.not_started(1, company.now).ends_reload);
  CHECK(company.pool.generation() == 1);
  CHECK(company.follow().empty());
}

TEST_CASE("an old worker's death during a reload is no failure of the reload") {
  Company company(2);
  company.run_full();
  company.pool.begin_reload(2, company.now);
  company.follow();
  const Loss loss = company.die(company.in(State::ready).back());
  CHECK(loss.is_failure);
  CHECK_FALSE(loss.ends_reload);
  CHECK(company.pool.is_reloading());
  CHECK(company.follow() == Slots{2});
  company.make_all_ready();
  company.follow();
  CHECK(company.pool.is_settled());
}

TEST_CASE("one that is worn out gets a successor first") {
  Company company(2);
  company.run_full();
  const int worn = company.in(State::ready).front();
  company.pool.condemn(worn);
  CHECK(company.follow() == Slots{1});
  CHECK(company.in(State::ready).size() == 2);
  CHECK_FALSE(company.pool.is_settled());
  company.make_all_ready();
  company.follow();
  CHECK(company.in(State::draining) == std::vector<int>{worn});
  CHECK(company.pool.is_settled());
}

TEST_CASE("of those who are all worn out before anybody else is ready, the youngest serves on, and gets a successor") {
  Company company(1);
  company.run_full();
  const int first = company.in(State::ready).front();
  company.pool.condemn(first);
  CHECK(company.follow() == Slots{1});
  const int second = company.last;
  company.pool.condemn(second);
  CHECK(company.follow().empty());
  CHECK(company.in(State::draining).empty());
  company.make_ready(second);
  company.follow();
  CHECK(company.in(State::draining) == std::vector<int>{first});
  company.finish_draining();
  CHECK(company.follow() == Slots{1});
  company.make_all_ready();
  company.follow();
  CHECK(company.in(State::draining) == std::vector<int>{second});
  CHECK(company.pool.is_settled());
}

TEST_CASE("when its successor fails, it stays, and the next try waits") {
  Company company(1);
  company.run_full();
  const int worn = company.in(State::ready).front();
  company.pool.condemn(worn);
  for (int failures = 1; failures <= 3; ++failures) {
    CHECK(company.follow() == Slots{1});
    company.now += company.die(company.last).delay;
  }
  CHECK(company.in(State::ready) == std::vector<int>{worn});
  CHECK_FALSE(company.breaker_opened);
}

TEST_CASE(
    "when every slot fails again and again, the breaker opens, one is tried at a time, and a ready one closes it") {
  Company company(3);
  for (int i = 0; i < 100 && !company.breaker_opened; ++i) {
    company.follow();
    for (const int id : company.in(State::starting)) company.die(id);
    company.now += 1s;
  }
  REQUIRE(company.breaker_opened);
  CHECK(company.pool.breaker_is_open());
  company.breaker_opened = false;
  for (int trials = 0; trials < 20; ++trials) {
    company.now += 30s;
    CHECK(company.follow() == Slots{1});
    CHECK(company.pool.members().size() == 1);
    company.die(company.last);
  }
  CHECK_FALSE(company.breaker_opened);  // it is told once
  company.now += 30s;
  CHECK(company.follow() == Slots{1});
  company.make_all_ready();
  CHECK_FALSE(company.pool.breaker_is_open());
  CHECK(company.follow() == Slots{2, 3});
}

TEST_CASE("the breaker stays closed while anybody serves, and while deaths come from outside") {
  Company company(2);
  company.run_full();
  for (int i = 0; i < 20; ++i) {
    company.die(company.in(State::ready).back());
    company.now += 30s;
    company.follow();
    company.make_all_ready();
  }
  CHECK_FALSE(company.breaker_opened);
  for (int i = 0; i < 20; ++i) {
    company.now += 200ms;
    for (const int id : company.in(State::ready)) company.die(id, true);
    CHECK(company.follow() == Slots{1, 2});
    company.make_all_ready();
  }
  CHECK_FALSE(company.breaker_opened);
}

TEST_CASE("a reload while the breaker is open tries at once, for the operator has mended something") {
  Company company(2);
  for (int i = 0; i < 100 && !company.breaker_opened; ++i) {
    company.follow();
    for (const int id : company.in(State::starting)) company.die(id);
    company.now += 1s;
  }
  company.pool.begin_reload(2, company.now);
  CHECK(company.follow() == Slots{1});
  company.make_all_ready();
  CHECK(company.follow() == Slots{2});
  company.make_all_ready();
  CHECK(company.pool.is_settled());
}

TEST_CASE("scaling up again while the old ones still drain is not held up by them") {
  Company company(8);
  company.run_full();
  company.pool.set_target(1);
  company.follow();
  CHECK(company.in(State::draining).size() == 7);
  company.pool.set_target(8);
  CHECK(company.follow().size() == 7);
  company.make_all_ready();
  CHECK(company.pool.is_settled());
  CHECK(company.pool.members().size() == 15);
}

TEST_CASE("of two workers of one slot, however they came there, one goes when the other is ready") {
  Company company(1);
  company.run_full();
  company.pool.started(++company.last, 1, company.now, limits);
  CHECK_FALSE(company.pool.is_settled());
  company.make_all_ready();
  company.follow();
  CHECK(company.in(State::ready).size() == 1);
  CHECK(company.pool.is_settled());
}

TEST_CASE("thousands of workers are planned for in no time") {
  Company company(4096);
  company.run_full();
  company.pool.set_surge(64);
  company.pool.begin_reload(2, company.now);
  std::size_t plans = 0;
  while (!company.pool.is_settled()) {
    company.follow();
    company.make_all_ready();
    company.finish_draining();
    ++plans;
  }
  CHECK(plans <= 4096 / 64 + 2);
}

}  // namespace baton::test
