// Process tests. Many requests over several workers by a real client, and what a connection may do.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"

using namespace baton::test;

namespace {

template <class Key>
std::vector<int> counts_of(const std::map<Key, int>& shares) {
  std::vector<int> counts;
  for (const auto& [key, count] : shares) counts.push_back(count);
  return counts;
}

/// What curl prints for `count` requests, each on a connection of its own: one line for each.
std::vector<std::string> answers_to_curl(const std::string& address, int count) {
  Program curl({{"curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--header", "Connection: close",
                 fmt::format("http://{}/?[1-{}]", address, count)},
                {},
                {},
                {}});
  REQUIRE(curl.try_wait_for_end(Deadline(50s)).value_or("no end in time") == "code 0");
  CHECK(curl.errors().empty());
  return split_lines(curl.output());
}

}  // namespace

TEST_CASE("10,000 requests over 8 workers: every answer is a living worker's pid, and all 8 are seen") {
  constexpr int count = 10'000;
  Baton baton({"-w", "8"});
  std::set<std::string> living;
  for (const pid_t each : baton.pids()) living.insert(fmt::format("pid is {}", each));
  REQUIRE(living.size() == 8);

  std::map<std::string, int> shares;
  int strange = 0;
  const std::vector<std::string> answers = answers_to_curl(baton.address(), count);
  for (const std::string& each : answers) {
    if (living.contains(each))
      ++shares[each];
    else if (++strange == 1)
      CHECK(each == "an answer of a living worker");
  }
  CAPTURE(counts_of(shares));
  CHECK(answers.size() == count);
  CHECK(strange == 0);
  CHECK(shares.size() == living.size());
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("a connection is kept, and its worker answers all of it") {
  Baton baton({"-w", "3"});
  Connection connection(baton.address());
  std::set<pid_t> seen;
  for (int i = 0; i < 100; ++i) {
    connection.send(plain_request);
    seen.insert(pid_in(connection.read_response()));
  }
  CHECK(seen.size() == 1);
  connection.send(last_request);
  const Response last = connection.read_response();
  CHECK(last.fields.at("connection") == "close");
  CHECK(connection.read_to_end().empty());
}

TEST_CASE("requests sent at once are answered in order") {
  Baton baton({"-w", "2"});
  Connection connection(baton.address());
  constexpr int count = 500;
  std::string all;
  for (int i = 0; i < count; ++i) all += i % 2 == 0 ? plain_request : "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n";
  connection.send(all + last_request);
  for (int i = 0; i < count; ++i) {
    const Response response = connection.read_response(i % 2 != 0);
    REQUIRE(response.status == 200);
  }
  pid_in(connection.read_response());
  CHECK(connection.read_to_end().empty());
}

TEST_CASE("HTTP/1.0 closes, unless asked to keep") {
  Baton baton({"-w", "1"});
  Connection closing(baton.address());
  closing.send("GET / HTTP/1.0\r\n\r\n");
  pid_in(closing.read_response());
  CHECK(closing.read_to_end().empty());

  Connection keeping(baton.address());
  for (int i = 0; i < 2; ++i) {
    keeping.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(keeping.read_response().fields.at("connection") == "keep-alive");
  }
}

TEST_CASE("bodies are skipped, with and without being asked for") {
  Baton baton({"-w", "1"});
  Connection connection(baton.address());
  connection.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello" + plain_request);
  pid_in(connection.read_response());
  pid_in(connection.read_response());
  connection.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  CHECK(connection.read_response().status == 100);
  connection.send("5\r\nhello\r\n0\r\n\r\n" + plain_request);
  pid_in(connection.read_response());
  pid_in(connection.read_response());
}
