// Unit tests of who takes the next turn, among workers of one scoreboard.
#include "worker/turns.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <random>

#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;

struct Taker {
  explicit Taker(bool share = true) : turns(counters, share) {}

  Counters counters;
  Turns turns;
};

/// `Count` workers of one master.
template <std::size_t Count>
class TurnsFixture {
 public:
  explicit TurnsFixture(std::size_t rows = Count) : board(rows) {
    for (Taker& each : takers) begin(each);
  }
  void begin(Taker& taker) {
    REQUIRE(taker.counters.attach(board.memory(), board.take().value()).empty());
    taker.turns.join();
  }
  void take(std::size_t which, int times = 1) {
    for (int i = 0; i < times; ++i) takers.at(which).turns.take();
  }
  /// A turn in each of two hours: nothing of the load before them counts any more.
  void pass_two_hours(std::size_t which) {
    for (int i = 0; i < 2; ++i) {
      time_ += 1h;
      takers.at(which).turns.set_time(time_);
      take(which);
    }
  }
  [[nodiscard]] bool is_ahead(std::size_t which) const { return takers.at(which).turns.is_ahead(); }

  Scoreboard board;
  std::array<Taker, Count> takers;

 private:
  Turns::Clock::time_point time_ = Turns::Clock::now();
};

}  // namespace

TEST_CASE("who is alone is never ahead") {
  Taker without_scoreboard;
  without_scoreboard.turns.join();
  TurnsFixture<1> fixture;
  for (int i = 0; i < 100; ++i) {
    without_scoreboard.turns.take();
    fixture.take(0);
    CHECK_FALSE(without_scoreboard.turns.is_ahead());
    CHECK_FALSE(fixture.is_ahead(0));
  }
}

TEST_CASE("who takes exact turns is never ahead") {
  TurnsFixture<8> fixture;
  for (int i = 0; i < 800; ++i) {
    const auto which = static_cast<std::size_t>(i % 8);
    fixture.take(which);
    CHECK_FALSE(fixture.is_ahead(which));
  }
}

TEST_CASE("two turns more than the others are ahead, until they have caught up") {
  TurnsFixture<3> fixture;
  fixture.take(0);
  CHECK_FALSE(fixture.is_ahead(0));
  fixture.take(0);
  CHECK(fixture.is_ahead(0));
  CHECK_FALSE(fixture.is_ahead(1));
  fixture.take(1);
  CHECK(fixture.is_ahead(0));
  fixture.take(2);
  CHECK_FALSE(fixture.is_ahead(0));
}

TEST_CASE("a worker that comes, or comes back, has no arrears") {
  TurnsFixture<2> fixture(3);
  fixture.take(0, 1000);
  fixture.take(1, 1000);
  Taker third;
  fixture.begin(third);
  CHECK_FALSE(fixture.is_ahead(0));
  third.turns.leave();
  fixture.take(0, 500);
  fixture.take(1, 500);
  third.turns.join();
  CHECK_FALSE(fixture.is_ahead(0));
  third.turns.take();
  third.turns.take();
  CHECK(third.turns.is_ahead());
}

TEST_CASE("a worker that has left, or is no more, holds nobody up") {
  TurnsFixture<2> fixture;
  fixture.take(0, 10);
  CHECK(fixture.is_ahead(0));
  SECTION("left") {
    fixture.takers[1].turns.leave();
  }
  SECTION("is no more") {
    fixture.board.give_back(1);
  }
  CHECK_FALSE(fixture.is_ahead(0));
}

TEST_CASE("a worker that takes no turns is not counted in by taking a connection all the same") {
  TurnsFixture<2> fixture;
  fixture.takers[1].turns.leave();
  fixture.take(1);
  fixture.take(0, 10);
  CHECK_FALSE(fixture.is_ahead(0));
}

TEST_CASE("a worker that was busy for long makes good a bounded number of turns") {
  TurnsFixture<2> fixture;
  fixture.take(0, 10'000);
  fixture.pass_two_hours(0);
  int made_good = 0;
  for (fixture.take(1); fixture.is_ahead(0); fixture.take(1)) ++made_good;
  CHECK(made_good > 50);
  CHECK(made_good < 70);
}

TEST_CASE("workers that share no listener are never ahead") {
  Scoreboard board(2);
  std::array takers{std::make_unique<Taker>(false), std::make_unique<Taker>(false)};
  for (const auto& each : takers) {
    REQUIRE(each->counters.attach(board.memory(), board.take().value()).empty());
    each->turns.join();
  }
  for (int i = 0; i < 10; ++i) takers[0]->turns.take();
  CHECK_FALSE(takers[0]->turns.is_ahead());
}

TEST_CASE("who is out of line returns when the others have caught up, or after a moment") {
  TurnsFixture<2> fixture;
  const Turns::Clock::time_point start{1h};
  Turns& turns = fixture.takers[0].turns;
  turns.set_time(start);
  fixture.take(0, 2);
  turns.step_out(true);
  CHECK(turns.is_out());
  CHECK_FALSE(turns.may_return());
  CHECK(turns.latest_return() - start <= 2ms);
  SECTION("they have") {
    fixture.take(1);
  }
  SECTION("a moment") {
    turns.set_time(turns.latest_return());
  }
  CHECK(turns.may_return());
  turns.come_back(false);
  CHECK_FALSE(turns.is_out());
}

TEST_CASE("who is out of line leaves to the others what has come since") {
  TurnsFixture<3> fixture;
  Turns& turns = fixture.takers[0].turns;
  const Turns::Clock::time_point start{1h};
  turns.set_time(start);
  fixture.take(0, 8);
  SECTION("the queue was empty when it stepped out") {
    turns.step_out(false);
    CHECK(turns.stay_out());
    CHECK_FALSE(turns.stay_out());
  }
  SECTION("the others have had turns") {
    turns.step_out(true);
    fixture.take(2);
    CHECK(turns.stay_out());
    CHECK_FALSE(turns.stay_out());
    fixture.take(1);
    CHECK(turns.stay_out());
  }
  SECTION("nobody has taken what was queued") {
    turns.step_out(true);
    CHECK_FALSE(turns.stay_out());
  }
  SECTION("the others are slow for long") {
    turns.step_out(false);
    int moments = 1;
    for (; turns.stay_out(); ++moments) {
      turns.set_time(turns.latest_return());
      fixture.take(1);
    }
    CHECK(turns.is_ahead());
    CHECK(moments < 20);
  }
}

TEST_CASE("under load a worker may be a hundredth further ahead, for a while") {
  constexpr int turns_lately = 1000;
  TurnsFixture<2> fixture;
  fixture.take(0);
  for (int i = 0; i < turns_lately; ++i) {
    fixture.take(0);
    fixture.take(1);
  }
  fixture.take(1);
  fixture.take(0, 11);
  CHECK_FALSE(fixture.is_ahead(0));
  fixture.take(0);
  CHECK(fixture.is_ahead(0));
  fixture.take(1, 12);
  fixture.pass_two_hours(0);
  fixture.take(1, 2);
  fixture.take(0);
  CHECK_FALSE(fixture.is_ahead(0));
  fixture.take(0);
  CHECK(fixture.is_ahead(0));
}

TEST_CASE("a neighbour that is stuck costs the others few moments") {
  TurnsFixture<2> fixture;
  Turns& turns = fixture.takers[0].turns;
  int moments = 0;
  for (int i = 0; i < 100'000; ++i) {
    turns.take();
    if (!turns.is_ahead()) continue;
    turns.step_out(true);
    turns.come_back(true);
    ++moments;
  }
  CHECK(moments < 60);
  fixture.pass_two_hours(0);
  fixture.take(1, 64);  // it goes on
  turns.take();
  turns.take();
  CHECK(turns.is_ahead());
}

/// Whoever has a CPU takes as many as it may, as in a burst.
TEST_CASE("a burst falls evenly, whoever gets to run") {
  constexpr std::size_t workers = 8;
  TurnsFixture<workers> fixture;
  std::minstd_rand random(1);
  std::array<int, workers> taken{};
  for (int left = 800; left > 0;) {
    const std::size_t runs = std::min(random() % 16, random() % workers);
    while (left > 0 && !fixture.is_ahead(runs)) {
      fixture.take(runs);
      ++taken.at(runs);
      --left;
    }
  }
  CAPTURE(taken);
  CHECK(*std::max_element(taken.begin(), taken.end()) <= 102);
  CHECK(*std::min_element(taken.begin(), taken.end()) >= 90);
}

}  // namespace baton::test
