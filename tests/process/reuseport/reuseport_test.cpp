// Process tests. --policy reuseport: a listener for each worker on one port, shared by the kernel's hash; and nobody is
// lost when workers come and go.
#include "tests/process/reuseport/reuseport.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

TEST_CASE("reuseport: every worker gets its share of 800 connections, by the kernel's hash") {
  Baton baton(reuseport({"-w", "8"}));
  baton.workers();
  const auto found = shares(baton.address(), 800);
  CHECK(found.size() == 8);
  // A fair die thrown 800 times: 1.5 is more than five standard deviations off.
  CHECK(busiest_to_mean(found) <= 1.5);
}

TEST_CASE("reuseport: each worker has a listener of its own, and the master none") {
  const std::string address = GENERATE(values<std::string>({"127.0.0.1:0", "[::1]:0"}));
  Baton baton(reuseport({"-w", "4", "-l", address}));
  const std::vector<pid_t> workers = baton.pids();
  const Inodes listening = listening_sockets();
  const Inodes masters = sockets_of(baton.pid());
  CHECK(common_to(masters, listening) == unix_listener(baton.control()));
  CHECK(masters.size() == workers.size() + 4 + 1);  // a channel and a parked listener each, and the control socket
  Inodes all;
  for (const pid_t each : workers) {
    const Inodes its = listeners_of(each);
    CHECK(its.size() == 1);
    all.insert(its.begin(), its.end());
  }
  CHECK(all.size() == 4);
}

TEST_CASE("reuseport: from 2 workers to 8 and back under clients that each make a new connection: none is lost") {
  Baton baton(reuseport({"-w", "2"}));
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh, 16);
  for (const unsigned to : {8U, 3U, 5U, 1U, 8U, 2U}) {
    scale(baton, to);
    fresh.wait_for_answers(200);
  }
  CHECK(becomes_true([&] { return living(baton).size() == 2; }));
  fresh.wait_for_answers(200);
  check_unharmed(fresh);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("reuseport: fewer workers share what the kernel gives to the listeners of those that have gone") {
  Baton baton(reuseport({"-w", "8"}));
  baton.workers();
  scale(baton, 5);
  REQUIRE(becomes_true([&] { return living(baton).size() == 5; }));
  const auto found = shares(baton.address(), 800);
  CHECK(found.size() == 5);
  CHECK(busiest_to_mean(found) <= 1.5);
  CHECK(each_holds(living(baton), 1 + 3));
  scale(baton, 8);
  CHECK(becomes_true([&] { return each_holds(living(baton), 1); }));
  CHECK(shares(baton.address(), 400).size() == 8);
}

TEST_CASE("reuseport: reloads under clients that each make a new connection: none is lost") {
  Baton baton(reuseport({"-w", "4"}));
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  Traffic kept(baton.address(), Connections::kept);
  reload(baton, 5);
  check_unharmed(fresh);
  check_unharmed(kept);
  CHECK(becomes_true([&] { return living(baton).size() == 4 && each_holds(living(baton), 1); }));
  CHECK(shares(baton.address(), 200).size() == 4);
  CHECK_FALSE(baton.log_has("warning"));
}
