// Unit tests of what does not go together with which policy.
#include "master/settings/policy_compatibility.hpp"

#include "common/error.hpp"
#include "tests/support/catch/expect.hpp"

namespace baton::test {
namespace {

using Words = std::vector<std::string>;

void check_combination(const Words& arguments, unsigned workers) {
  check_policy_compatibility(parse_options(arguments), workers);
}

std::string combination_refusal(const Words& arguments, unsigned workers = 4) {
  CAPTURE(arguments);
  return message_of<UsageError>([&] { check_combination(arguments, workers); });
}

}  // namespace

TEST_CASE("every policy goes with TCP, and with the ports that it needs") {
  for (const char* policy : {"shared", "reuseport", "roundrobin", "leastconn", "source"})
    for (const char* where : {":80", "127.0.0.1:0", "[::1]:1337"})
      CHECK_NOTHROW(check_combination({"--policy", policy, "-l", where}, 4));
  for (const char* where : {":0", "127.0.0.1:3000-3003", "[::1]:1-65535"})
    CHECK_NOTHROW(check_combination({"--policy", "own-port", "-l", where}, 4));
  CHECK_NOTHROW(check_combination({"--policy", "own-port", "-p", "3000-3003", "-l", "127.0.0.1", "-l", "[::1]"}, 4));
  CHECK_NOTHROW(check_combination({"--policy", "own-port", "-l", "127.0.0.1:0", "-l", "127.0.0.1:0"}, 4));
  CHECK_NOTHROW(check_combination({"--policy", "own-port", "-l", "127.0.0.1:3000-3000"}, 0));
}

TEST_CASE("Unix sockets go with those policies that can do with one listener and no client address") {
  for (const char* policy : {"shared", "roundrobin", "leastconn"})
    CHECK_NOTHROW(check_combination({"--policy", policy, "-l", "unix:/x"}, 4));
  CHECK(combination_refusal({"--policy", "reuseport", "-l", "unix:/x"}) ==
        "--listen: unix:/x: reuseport is for TCP: only one Unix socket can have a name (shared is for both)");
  CHECK(combination_refusal({"--policy", "own-port", "-l", ":0", "-l", "unix:@x"}) ==
        "--listen: unix:@x: own-port gives each worker a TCP port, and a Unix socket has none (shared is for both)");
  CHECK(combination_refusal({"--policy", "source", "-l", "unix:/x"}) ==
        "--listen: unix:/x: source goes by the client's address, and a Unix socket's clients have none (leastconn is "
        "for both)");
}

TEST_CASE("workers that ask for their listeners, under policies that have one for each") {
  for (const char* policy : {"shared", "roundrobin", "leastconn", "source"})
    CHECK_NOTHROW(check_combination({"--policy", policy, "--", "node", "app.js"}, 4));
  for (const char* policy : {"reuseport", "own-port"}) {
    CHECK(contains(combination_refusal({"--policy", policy, "--", "node", "app.js"}),
                   "all node-cluster workers ask for one"));
    CHECK_NOTHROW(check_combination({"--policy", policy, "-l", ":0", "--", "node", "app.js"}, 4));
  }
}

TEST_CASE("own-port with one port for all") {
  CHECK(combination_refusal({"--policy", "own-port", "-l", "127.0.0.1:3000"}) ==
        "--listen: 127.0.0.1:3000: own-port wants a port for each worker: 0, for which the kernel chooses them, or a "
        "range like 3000-3007");
  CHECK(contains(combination_refusal({"--policy", "own-port"}), "like 1337-1344"));  // the default port is one
  CHECK(contains(combination_refusal({"--policy", "own-port", "-l", ":65535"}), "like 65528-65535"));
}

TEST_CASE("a range of ports without own-port") {
  for (const char* policy : {"shared", "reuseport", "roundrobin", "leastconn", "source"})
    CHECK(combination_refusal({"--policy", policy, "-l", "api=127.0.0.1:3000-3007"}) ==
          "--listen: api=127.0.0.1:3000-3007: a range of ports is for --policy own-port");
  CHECK(contains(combination_refusal({"-p", "3000-3007"}), "a range of ports is for --policy own-port"));
}

TEST_CASE("a range that is too small for the workers") {
  CHECK(combination_refusal({"--policy", "own-port", "-l", "127.0.0.1:3000-3003"}, 5) ==
        "--listen: 127.0.0.1:3000-3003: 4 ports for 5 workers, and own-port wants one for each");
  CHECK(contains(combination_refusal({"--policy", "own-port", "-l", ":3000-3000"}, 2), "1 port for 2 workers"));
}

TEST_CASE("ranges that have ports in common") {
  CHECK(combination_refusal({"--policy", "own-port", "-l", "127.0.0.1:3000-3007", "-l", "api=127.0.0.1:3007-3020"}) ==
        "--listen: 127.0.0.1:3000-3007: has ports in common with api=127.0.0.1:3007-3020, and own-port needs each for "
        "one worker");
  CHECK(contains(combination_refusal({"--policy", "own-port", "-l", ":3000-3007", "-l", "[::1]:3001-3004"}),
                 "in common"));
}

}  // namespace baton::test
