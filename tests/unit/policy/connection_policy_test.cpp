// Unit tests of the connection policies: turns, least counts, and clients that stay with their worker.
#include "master/policy/connection_policy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "master/policy/policy.hpp"
#include "master/policy/source.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton {
namespace {

using Candidates = std::vector<Candidate>;

/// Workers 1 to `count`, with nothing to do.
Candidates idle(unsigned count) {
  Candidates made;
  for (unsigned i = 1; i <= count; ++i) made.push_back({i, static_cast<int>(i), 0});
  return made;
}

Candidates without(Candidates candidates, unsigned number) {
  std::erase_if(candidates, [&](const Candidate& each) { return each.number == number; });
  return candidates;
}

ClientAddress address(const std::string& text) {
  sockaddr_storage peer{};
  if (text.find(':') != std::string::npos) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(4711);
    REQUIRE(::inet_pton(AF_INET6, text.c_str(), &six.sin6_addr) == 1);
    std::memcpy(&peer, &six, sizeof six);
  } else {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(42);
    REQUIRE(::inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1);
    std::memcpy(&peer, &four, sizeof four);
  }
  return client_address(peer);
}

std::vector<ClientAddress> clients(int count) {
  std::vector<ClientAddress> made;
  for (int i = 0; i < count; ++i)
    made.push_back(address("10.7." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  return made;
}

std::string turns(ConnectionPolicy& policy, const Candidates& candidates, int count) {
  std::string chosen;
  for (int i = 0; i < count; ++i) chosen += std::to_string(candidates.at(policy.choose(candidates, {})).number);
  return chosen;
}

std::vector<unsigned> numbers_for(const std::vector<ClientAddress>& all, const Candidates& candidates) {
  const auto policy = make_connection_policy(Policy::source);
  std::vector<unsigned> numbers;
  for (const ClientAddress& each : all) numbers.push_back(candidates.at(policy->choose(candidates, each)).number);
  return numbers;
}

}  // namespace

TEST_CASE("roundrobin: each in turn") {
  const auto policy = make_connection_policy(Policy::roundrobin);
  CHECK(turns(*policy, idle(3), 7) == "1231231");
  SECTION("whatever each has") {
    Candidates loaded = idle(3);
    loaded[1].held = 1000;
    CHECK(turns(*policy, loaded, 3) == "231");
  }
  SECTION("who comes is taken at its number") {
    CHECK(turns(*policy, idle(5), 6) == "234512");
  }
  SECTION("who goes is passed over, and nobody's turn is lost") {
    CHECK(turns(*policy, without(idle(3), 2), 3) == "313");
    CHECK(turns(*policy, idle(3), 3) == "123");
  }
  SECTION("alone") {
    CHECK(turns(*policy, idle(1), 3) == "111");
  }
}

TEST_CASE("roundrobin: two processes of one number, as in a reload, both have their turn") {
  const auto policy = make_connection_policy(Policy::roundrobin);
  const Candidates candidates{{1, 4, 0}, {1, 9, 0}, {2, 5, 0}};
  std::string ids;
  for (int i = 0; i < 6; ++i) ids += std::to_string(candidates.at(policy->choose(candidates, {})).id);
  CHECK(ids == "495495");
}

TEST_CASE("leastconn: who has the fewest") {
  const auto policy = make_connection_policy(Policy::leastconn);
  const Candidates candidates{{1, 1, 3}, {2, 2, 1}, {3, 3, 2}};
  CHECK(turns(*policy, candidates, 3) == "222");
}

TEST_CASE("leastconn: of equals, each in turn") {
  const auto policy = make_connection_policy(Policy::leastconn);
  CHECK(turns(*policy, idle(4), 9) == "123412341");
  SECTION("also where others have more") {
    const Candidates candidates{{1, 1, 5}, {2, 2, 1}, {3, 3, 7}, {4, 4, 1}};
    CHECK(turns(*policy, candidates, 4) == "2424");
  }
}

TEST_CASE("leastconn: counts that grow with each choice fill up the valleys first") {
  const auto policy = make_connection_policy(Policy::leastconn);
  Candidates candidates{{1, 1, 10}, {2, 2, 0}, {3, 3, 4}};
  for (int i = 0; i < 16; ++i) ++candidates.at(policy->choose(candidates, {})).held;
  for (const Candidate& each : candidates) CHECK(each.held == 10);
}

TEST_CASE("source: the same address, the same worker, whatever came between") {
  const auto policy = make_connection_policy(Policy::source);
  const Candidates candidates = idle(8);
  for (const ClientAddress& each : clients(50)) {
    const std::size_t first = policy->choose(candidates, each);
    static_cast<void>(policy->choose(candidates, address("192.0.2.1")));
    CHECK(policy->choose(candidates, each) == first);
  }
}

TEST_CASE("source: addresses that differ in their last byte alone spread evenly") {
  std::map<unsigned, int> counts;
  for (const unsigned each : numbers_for(clients(8000), idle(8))) ++counts[each];
  CHECK(counts.size() == 8);
  for (const auto& [number, count] : counts) {
    CAPTURE(number);
    CHECK(count > 850);  // of 1000; the deviation of a fair draw is 30
    CHECK(count < 1150);
  }
}

TEST_CASE("source: when a worker goes, its clients move and nobody else's") {
  const auto all = clients(4000);
  const auto before = numbers_for(all, idle(8));
  const auto after = numbers_for(all, without(idle(8), 3));
  std::map<unsigned, int> heirs;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (before[i] == 3)
      ++heirs[after[i]];
    else
      REQUIRE(after[i] == before[i]);
  }
  CHECK(heirs.size() == 7);  // they spread over all the others
  CHECK(numbers_for(all, idle(8)) == before);
}

TEST_CASE("source: when a worker comes, only those move that it gets") {
  const auto all = clients(4000);
  const auto before = numbers_for(all, idle(7));
  const auto after = numbers_for(all, idle(8));
  int moved = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (after[i] == before[i]) continue;
    REQUIRE(after[i] == 8);
    ++moved;
  }
  CHECK(moved > 4000 / 8 - 100);
  CHECK(moved < 4000 / 8 + 100);
}

TEST_CASE("source: neither the port nor the form of an IPv4 address matters") {
  CHECK(address("192.0.2.7") == address("::ffff:192.0.2.7"));
  CHECK_FALSE(address("192.0.2.7") == address("192.0.2.8"));
  CHECK_FALSE(address("2001:db8::1") == address("2001:db8::2"));
}

TEST_CASE("source: a client on a Unix socket has no address") {
  sockaddr_storage peer{};
  peer.ss_family = AF_UNIX;
  CHECK(client_address(peer) == ClientAddress{});
}

TEST_CASE("source: of two processes of one number the later one") {
  const auto policy = make_connection_policy(Policy::source);
  const Candidates candidates{{1, 4, 0}, {1, 9, 0}};
  for (const ClientAddress& each : clients(20)) CHECK(candidates.at(policy->choose(candidates, each)).id == 9);
}

TEST_CASE("source: the weights are fixed for ever") {
  CHECK(weight(address("127.0.0.1"), 1) == 0xce9740c5268e3e3d);
  CHECK(weight(address("2001:db8::1"), 8) == 0x49b71cd4e9fd5471);
}

}  // namespace baton
