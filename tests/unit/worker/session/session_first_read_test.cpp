// Unit tests of a session whose first request has come before its connection is adopted: it is read at once.
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/worker/session/session_bench.hpp"

namespace baton::test {

namespace {

const std::string& closing_request() {
  static const std::string text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  return text;
}

}  // namespace

TEST_CASE("a request that is there already is answered without a wait") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect_saying(get_request());
  CHECK(client.hear().text == pid_answer());
  CHECK(bench.exchange(client, get_request()).text == pid_answer());
}

TEST_CASE("a connection can end within its adoption") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect_saying(closing_request());
  const Heard heard = client.hear();
  CHECK(heard.text == closing_answer());
  CHECK(heard.ended);
  CHECK(bench.closed == 1);
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a connection that two processes hold can end within its adoption") {
  Bench bench;
  const Client client = bench.connect_saying(closing_request(), 0, Holders::shared);
  CHECK(client.hear().ended);
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a client that says nothing at first holds nobody up") {
  Bench bench;
  const Client client = bench.connect_saying("", 0, Holders::shared);
  CHECK(client.hear().text.empty());
  CHECK(bench.exchange(client, get_request()).text == pid_answer());
}

TEST_CASE("half a request that is there already is finished later") {
  Bench bench;
  const Client client = bench.connect_saying(get_request().substr(0, 10));
  CHECK(bench.exchange(client, get_request().substr(10)).text == pid_answer());
}

TEST_CASE("answers to what is there already wait until the client reads") {
  constexpr int small = 2048;
  constexpr std::size_t requests = 200;
  const Holders holders = GENERATE(Holders::alone, Holders::shared);
  Bench bench;
  const Client client = bench.connect_saying(repeated(get_request(), requests), small, holders);
  std::string answers;
  for (int round = 0; round < 200; ++round) {
    answers += client.hear().text;
    bench.run(2);
  }
  CHECK(answers == repeated(pid_answer(), requests));
}

TEST_CASE("where the first request mostly comes later, it is seldom looked for at once") {
  constexpr std::size_t connections = 60;
  Bench bench;
  std::vector<Client> silent;
  for (std::size_t i = 0; i < connections; ++i) silent.push_back(bench.connect());
  std::size_t at_once = 0;
  std::vector<Client> speaking;
  for (std::size_t i = 0; i < 16; ++i) {
    speaking.push_back(bench.connect_saying(get_request()));
    if (!speaking.back().hear().text.empty()) ++at_once;
    if (at_once > 0) break;
  }
  // One of any sixteen tries, and its success brings the trying back.
  CHECK(at_once == 1);
  CHECK(speaking.size() > 1);
  const Client next = bench.connect_saying(get_request());
  CHECK(next.hear().text == pid_answer());
}

}  // namespace baton::test
