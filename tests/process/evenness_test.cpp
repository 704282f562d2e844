// Process tests. How evenly 800 connections fall on 8 workers, in four patterns. Counts, not times; but a worker that
// waits for a CPU misses turns, so nothing else runs beside.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/harness.hpp"

using namespace baton::test;

namespace {

constexpr int workers = 8;
constexpr int connections = 800;
/// Busiest to mean. Without turns it is 8, and chosen by a hash some 1.12.
constexpr double bound = 1.10;

const std::string request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

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

void check(const Shares& shares) {
  INFO("connections of each worker: " << shares.text());
  CHECK(shares.busiest_to_mean() <= bound);
}

}  // namespace

TEST_CASE("one connection at a time falls evenly", "[alone]") {
  Baton baton({"-w", std::to_string(workers)});
  baton.workers();
  Shares shares;
  for (int i = 0; i < connections; ++i) {
    Connection connection(baton.address());
    connection.send(request);
    shares.add(connection);
  }
  check(shares);
  // One connection wakes one worker: were it all of them, there would be thousands.
  CHECK(baton.status().at("totals").at("accept_misses").to_number<int>() <= connections / 10);
}

TEST_CASE("one connection each millisecond, held open, falls evenly", "[alone]") {
  Baton baton({"-w", std::to_string(workers)});
  baton.workers();
  std::vector<Connection> held;
  held.reserve(connections);
  for (int i = 0; i < connections; ++i) {
    held.emplace_back(baton.address());
    held.back().send(request);
    std::this_thread::sleep_for(1ms);  // the pattern itself
  }
  Shares shares;
  for (Connection& each : held) shares.add(each);
  check(shares);
}

TEST_CASE("connections as fast as one thread can, held open, fall evenly", "[alone]") {
  Baton baton({"-w", std::to_string(workers)});
  baton.workers();
  std::vector<Connection> held;
  held.reserve(connections);
  for (int i = 0; i < connections; ++i) {
    held.emplace_back(baton.address());
    held.back().send(request);
  }
  Shares shares;
  for (Connection& each : held) shares.add(each);
  check(shares);
}

TEST_CASE("64 connections at a time fall evenly", "[alone]") {
  constexpr int at_a_time = 64;
  Baton baton({"-w", std::to_string(workers)});
  baton.workers();
  Shares shares;
  for (int done = 0; done < connections;) {
    std::vector<Connection> open;
    for (; open.size() < at_a_time && done < connections; ++done) open.emplace_back(baton.address());
    for (Connection& each : open) each.send(request);
    for (Connection& each : open) shares.add(each);
  }
  check(shares);
}
