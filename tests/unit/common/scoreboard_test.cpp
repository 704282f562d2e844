// Unit tests of the shared counters: the master's side, the worker's side, and what else may be sent in their place.
#include "common/scoreboard.hpp"

#include <sys/mman.h>

#include <set>
#include <string>

#include "tests/support/catch/catch.hpp"
#include "tests/support/system/descriptors.hpp"

namespace baton::test {
namespace {

Fd memory_of(std::size_t size, int seals) {
  Fd memory{check(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create")};
  check(::ftruncate(memory.get(), static_cast<off_t>(size)), "ftruncate");
  if (seals != 0) check(::fcntl(memory.get(), F_ADD_SEALS, seals), "fcntl");
  return memory;
}

}  // namespace

TEST_CASE("what a worker counts, the master reads") {
  const NoLeak no_leak;
  Scoreboard board(100);
  const std::size_t index = board.take().value();
  Counters counters;
  REQUIRE(counters.attach(board.memory(), index).empty());
  counters.add(Metric::requests);
  counters.add(Metric::bytes, 1000);
  counters.set(Metric::open, 7);
  CHECK(board.row(index).get(Metric::requests) == 1);
  CHECK(board.row(index).get(Metric::bytes) == 1000);
  CHECK(board.row(index).get(Metric::open) == 7);
}

TEST_CASE("workers in any row do not disturb each other") {
  constexpr std::size_t rows = 70;  // on several pages
  Scoreboard board(rows);
  std::array<Counters, rows> workers;
  std::set<std::size_t> given;
  for (Counters& each : workers) {
    const std::size_t index = board.take().value();
    given.insert(index);
    REQUIRE(each.attach(board.memory(), index).empty());
    each.add(Metric::accepted, index + 1);
  }
  CHECK(given.size() == rows);
  CHECK_FALSE(board.take());
  for (std::size_t i = 0; i < rows; ++i) CHECK(board.row(i).get(Metric::accepted) == i + 1);
  CHECK(board.total(Metric::accepted) == rows * (rows + 1) / 2);
}

TEST_CASE("what was counted before there was a scoreboard is not lost") {
  Counters counters;
  counters.add(Metric::requests, 3);
  Scoreboard board(1);
  REQUIRE(counters.attach(board.memory(), board.take().value()).empty());
  counters.add(Metric::requests);
  CHECK(counters.get(Metric::requests) == 4);
  CHECK(board.total(Metric::requests) == 4);
}

TEST_CASE("counters of a worker that has ended stay in the total, and gauges go with it") {
  Scoreboard board(1);
  for (int life = 1; life <= 3; ++life) {
    const std::size_t index = board.take().value();
    CHECK(board.row(index).get(Metric::requests) == 0);
    CHECK(board.row(index).get(Metric::open) == 0);
    Counters counters;
    REQUIRE(counters.attach(board.memory(), index).empty());
    counters.add(Metric::requests, 10);
    counters.set(Metric::open, 5);
    CHECK(board.total(Metric::open) == 5);
    board.give_back(index);
    CHECK(board.total(Metric::requests) == static_cast<std::uint64_t>(10 * life));
    CHECK(board.total(Metric::open) == 0);
  }
}

TEST_CASE("what is no scoreboard is refused, and counting goes on") {
  const NoLeak no_leak;
  Counters counters;
  counters.add(Metric::requests);
  Scoreboard board(10);
  const auto fault = [&](const Fd& memory, std::uint64_t index) { return counters.attach(memory, index); };
  CHECK(fault(board.memory(), 10) == "it has 10 slots, and none numbered 10");
  CHECK(fault(board.memory(), ~std::uint64_t{0}) == "it has 10 slots, and none numbered 18446744073709551615");
  CHECK(fault(memory_of(4096, 0), 0) == "its memory is not sealed against shrinking");
  CHECK(fault(memory_of(sizeof(CounterRow) - 1, F_SEAL_SHRINK), 0) == "it has 0 slots, and none numbered 0");
  CHECK(fault(memory_of(4096, F_SEAL_SHRINK | F_SEAL_WRITE), 0) == "mmap(scoreboard): Operation not permitted");
  CHECK(fault(Fd{check(::open("/dev/null", O_RDWR | O_CLOEXEC), "open")}, 0) ==
        "its memory is not sealed against shrinking");
  CHECK_FALSE(counters.is_attached());
  counters.add(Metric::requests);
  CHECK(counters.get(Metric::requests) == 2);
}

TEST_CASE("the memory can't be cut off under those who read it") {
  Scoreboard board(10);
  CHECK(::ftruncate(board.memory().get(), 0) == -1);
  CHECK(::ftruncate(board.memory().get(), 1 << 20) == -1);
  CHECK(::fcntl(board.memory().get(), F_ADD_SEALS, F_SEAL_WRITE) == -1);
}

TEST_CASE("every metric has a name of its own, a unit and a sentence") {
  std::set<std::string_view> names;
  for (const MetricInfo& each : metrics) {
    CAPTURE(each.name);
    CHECK(names.insert(each.name).second);
    CHECK_FALSE(each.unit.empty());
    CHECK_FALSE(each.help.empty());
  }
}

}  // namespace baton::test
