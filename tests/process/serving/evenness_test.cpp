// Process tests. How evenly 800 connections fall on 8 workers, in four patterns. Counts, not times; but a worker that
// waits for a CPU misses turns. So nothing else runs beside, and of five rounds the median counts: a virtual machine
// whose host takes one of its CPUs away for 30 ms has spoilt a round, and nothing that baton does is that rare.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"

using namespace baton::test;

namespace {

constexpr int workers = 8;
constexpr int connections = 800;
/// Busiest to mean. Without turns it is 8, and chosen by a hash some 1.12.
constexpr double most_uneven = 1.10;

class Shares {
 public:
  void add(Connection& connection) { ++counts_[pid_in(connection.read_response())]; }

  [[nodiscard]] std::string text() const {
    std::string all;
    for (const auto& [pid, count] : counts_) all += fmt::format("{} ", count);
    return all;
  }
  [[nodiscard]] double busiest_to_mean() const {
    int total = 0;
    int busiest = 0;
    for (const auto& [pid, count] : counts_) {
      total += count;
      busiest = std::max(busiest, count);
    }
    return static_cast<double>(busiest) * workers / total;
  }

 private:
  std::map<pid_t, int> counts_;
};

/// `round` makes its connections to a fresh master and says who got them.
template <typename Round>
void check_evenness_of(Round round) {
  constexpr int rounds = 5;
  std::vector<double> ratios;
  std::string seen;
  for (int i = 0; i < rounds; ++i) {
    Baton baton({"-w", std::to_string(workers)});
    baton.workers();
    const Shares shares = round(baton);
    ratios.push_back(shares.busiest_to_mean());
    seen += shares.text() + "\n";
  }
  std::sort(ratios.begin(), ratios.end());
  INFO("connections of each worker, round by round:\n" << seen);
  CHECK(ratios.at(rounds / 2) <= most_uneven);
}

}  // namespace

TEST_CASE("one connection at a time falls evenly", "[alone]") {
  check_evenness_of([](Baton& baton) {
    Shares shares;
    for (int i = 0; i < connections; ++i) {
      Connection connection(baton.address());
      connection.send(plain_request);
      shares.add(connection);
    }
    // One connection wakes one worker: were it all of them, there would be thousands.
    CHECK(baton.status().at("totals").at("accept_misses").to_number<int>() <= connections / 10);
    return shares;
  });
}

TEST_CASE("one connection each millisecond, held open, falls evenly", "[alone]") {
  check_evenness_of([](Baton& baton) {
    std::vector<Connection> held;
    held.reserve(connections);
    for (int i = 0; i < connections; ++i) {
      held.emplace_back(baton.address());
      held.back().send(plain_request);
      std::this_thread::sleep_for(1ms);  // the pattern itself
    }
    Shares shares;
    for (Connection& each : held) shares.add(each);
    return shares;
  });
}

TEST_CASE("connections as fast as one thread can, held open, fall evenly", "[alone]") {
  check_evenness_of([](Baton& baton) {
    std::vector<Connection> held;
    held.reserve(connections);
    for (int i = 0; i < connections; ++i) {
      held.emplace_back(baton.address());
      held.back().send(plain_request);
    }
    Shares shares;
    for (Connection& each : held) shares.add(each);
    return shares;
  });
}

TEST_CASE("64 connections at a time fall evenly", "[alone]") {
  constexpr int at_a_time = 64;
  check_evenness_of([](Baton& baton) {
    Shares shares;
    for (int done = 0; done < connections;) {
      std::vector<Connection> open;
      for (; open.size() < at_a_time && done < connections; ++done) open.emplace_back(baton.address());
      for (Connection& each : open) each.send(plain_request);
      for (Connection& each : open) shares.add(each);
    }
    return shares;
  });
}
