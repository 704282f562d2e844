// Unit tests of a connection's life, without deadlines.
#include "worker/session.hpp"

#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/worker/session/session_bench.hpp"

namespace baton::test {

TEST_CASE("a request is answered with this process's pid, and the connection kept") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  for (int i = 0; i < 3; ++i) {
    const Heard heard = bench.exchange(client, get_request());
    CHECK(heard.text == pid_answer());
    CHECK_FALSE(heard.ended);
  }
  CHECK(bench.sessions.size() == 1);
}

TEST_CASE("a request in two parts, or byte by byte, is answered once") {
  Bench bench;
  const Client client = bench.connect();
  for (std::size_t split = 1; split < get_request().size(); ++split) {
    CAPTURE(split);
    CHECK(bench.exchange(client, get_request().substr(0, split)).text.empty());
    CHECK(bench.exchange(client, get_request().substr(split)).text == pid_answer());
  }
  std::string answers;
  for (const char c : get_request()) answers += bench.exchange(client, std::string(1, c)).text;
  CHECK(answers == pid_answer());
}

TEST_CASE("a hundred requests in one write get a hundred answers in order") {
  Bench bench;
  const Client client = bench.connect();
  client.say(repeated(get_request(), 100));
  std::string answers;
  for (int round = 0; round < 100; ++round) {
    bench.run(1);
    answers += client.hear().text;
  }
  CHECK(answers == repeated(pid_answer(), 100));
}

TEST_CASE("pipelined requests cut anywhere are answered each") {
  const std::string two = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + get_request();
  for (std::size_t split = 1; split < two.size(); ++split) {
    CAPTURE(split);
    Bench bench;
    const Client client = bench.connect();
    std::string answers = bench.exchange(client, two.substr(0, split)).text;
    answers += bench.exchange(client, two.substr(split)).text;
    CHECK(answers == repeated(pid_answer(), 2));
  }
}

TEST_CASE("HEAD gets the header alone, and the next answer is whole again") {
  Bench bench;
  const Client client = bench.connect();
  CHECK(bench.exchange(client, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").text == pid_answer("", true));
  CHECK(bench.exchange(client, get_request()).text == pid_answer());
}

TEST_CASE("Connection: close is answered and closed") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  const Heard heard = bench.exchange(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(heard.text == closing_answer());
  CHECK(heard.ended);
  CHECK(bench.sessions.size() == 0);
  CHECK(bench.closed == 1);
}

TEST_CASE("HTTP/1.0 is closed, or told that it is kept") {
  Bench bench;
  const Client kept = bench.connect();
  const Heard heard = bench.exchange(kept, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(heard.text == pid_answer("Connection: keep-alive\r\n"));
  CHECK_FALSE(heard.ended);
  const Client plain = bench.connect();
  const Heard last = bench.exchange(plain, "GET / HTTP/1.0\r\n\r\n");
  CHECK(last.text == closing_answer());
  CHECK(last.ended);
}

TEST_CASE("what follows a request that closes is not answered, and does not reset the answer") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  const Heard heard =
      bench.exchange(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + repeated(get_request(), 3));
  CHECK(heard.text == closing_answer());
  CHECK(heard.ended);
  CHECK(heard.error == 0);
}

TEST_CASE("a client that ends its side after a request is answered") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  client.say(get_request());
  client.end_sending();
  bench.run();
  const Heard heard = client.hear();
  CHECK(heard.text == pid_answer());
  CHECK(heard.ended);
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a client that goes, at any point, costs nothing") {
  const NoLeak no_leak;
  Bench bench;
  for (const std::string& said : {std::string(), std::string("GET /"), get_request(),
                                  std::string("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")}) {
    CAPTURE(said);
    Client client = bench.connect();
    if (!said.empty()) client.say(said);
    bench.run();
    client.close();
    bench.run();
    CHECK(bench.sessions.size() == 0);
  }
  CHECK(bench.closed == 4);
}

TEST_CASE("100 Continue is said once, when the header asks and the body has not come") {
  Bench bench;
  const Client client = bench.connect();
  const std::string header = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  for (int i = 0; i < 2; ++i) {
    CHECK(bench.exchange(client, header).text == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(bench.exchange(client, "bo").text.empty());
    CHECK(bench.exchange(client, "dy").text == pid_answer());
  }
  CHECK(bench.exchange(client, header + "body").text == pid_answer());
}

TEST_CASE("an error is answered and closed, and a client still sending gets it without a reset") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  const Heard heard = bench.exchange(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nbeginning");
  CHECK(heard.text.starts_with("HTTP/1.1 413 "));
  CHECK(heard.ended);
  for (int i = 0; i < 50; ++i) {
    CHECK(client.say_some(std::string(20'000, 'x')) > 0);
    bench.run(5);
    CHECK(client.hear().error == 0);
  }
  CHECK(bench.sessions.size() == 1);
  client.end_sending();
  bench.run();
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("requests before a bad one are answered before its error") {
  Bench bench;
  const Client client = bench.connect();
  const Heard heard = bench.exchange(client, get_request() + "nonsense\r\n\r\n" + get_request());
  CHECK(heard.text.starts_with(pid_answer() + "HTTP/1.1 400 Bad Request\r\n"));
  CHECK(count_of(heard.text, "HTTP/1.1 ") == 2);
}

TEST_CASE("a chunk extension without end is refused, not stored") {
  const NoLeak no_leak;
  WorkerSettings settings;
  settings.max_header = 1024;
  Bench bench(settings);
  const Client client = bench.connect();
  client.say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;");
  Heard heard;
  std::size_t sent = 0;
  while (heard.text.empty() && sent < 10'000) {
    sent += client.say_some(std::string(100, 'a'));
    bench.run(2);
    heard = client.hear();
  }
  CHECK(heard.text.starts_with("HTTP/1.1 400 "));
  CHECK(sent < 2 * settings.max_header);
}

TEST_CASE("a header without end is refused, in many fields or in one") {
  WorkerSettings settings;
  settings.max_header = 1024;
  const std::string piece = GENERATE(std::string(": yyyyyy\r\nX"), std::string("yyyyyyyyyyy"));
  CAPTURE(piece);
  Bench bench(settings);
  const Client client = bench.connect();
  client.say("GET / HTTP/1.1\r\nHost: x\r\nX");
  bench.run();
  Heard heard;
  std::size_t sent = 0;
  while (heard.text.empty() && sent < 10'000) {
    sent += client.say_some(piece);
    bench.run(2);
    heard = client.hear();
  }
  CHECK(heard.text.starts_with("HTTP/1.1 431 "));
  CHECK(sent < 2 * settings.max_header);
}

TEST_CASE("a client that does not read is not read from, and all is answered once it reads") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect(4096);
  constexpr std::size_t count = 100'000;  // more than all buffers between the two hold
  const std::string requests = repeated(get_request(), count);
  std::size_t said = 0;
  for (int round = 0; round < 50; ++round) {
    said += client.say_some(std::string_view(requests).substr(said));
    bench.run(2);
  }
  const std::size_t said_unread = said;
  std::string answers;
  for (int round = 0; round < 1'000'000 && answers.size() < count * pid_answer().size(); ++round) {
    answers += client.hear().text;
    if (said < requests.size()) said += client.say_some(std::string_view(requests).substr(said));
    bench.run(1);
  }
  CHECK(said_unread < requests.size());
  CHECK((answers == repeated(pid_answer(), count)));  // in brackets: megabytes are not to be printed
  CHECK(bench.exchange(client, get_request()).text == pid_answer());
}

TEST_CASE("a request begun while the answers were blocked is finished after") {
  Bench bench;
  const Client client = bench.connect(4096);
  client.say(repeated(get_request(), 200) + get_request().substr(0, 9));
  bench.run();
  std::string answers;
  for (int round = 0; round < 1000 && answers.size() < 200 * pid_answer().size(); ++round) {
    answers += client.hear().text;
    bench.run(1);
  }
  CHECK(answers == repeated(pid_answer(), 200));
  CHECK(bench.exchange(client, get_request().substr(9)).text == pid_answer());
}

TEST_CASE("a client that goes while its answers are blocked costs nothing") {
  const NoLeak no_leak;
  Bench bench;
  Client client = bench.connect(4096);
  client.say(repeated(get_request(), 500));
  bench.run();
  CHECK(bench.sessions.size() == 1);
  client.close();
  bench.run();
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a connection that another process holds too ends here all the same") {
  const NoLeak no_leak;
  Bench bench;
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "socketpair");
  Fd ours{ends[0]};
  const Client client{Fd{ends[1]}};
  const Fd theirs = ours.duplicate();  // a master's, until it has read our acknowledgement
  bench.sessions.adopt(std::move(ours), Holders::shared);
  const Heard heard = bench.exchange(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(heard.text == closing_answer());
  CHECK(heard.ended);
  REQUIRE(bench.sessions.size() == 0);
  REQUIRE(watches() == 0);              // else the next event would run a session that is no more
  CHECK(client.say_some("late") == 0);  // and the client knows that it has ended
  bench.run();
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("as many sessions as settings allow are full") {
  WorkerSettings settings;
  settings.max_connections = 2;
  Bench bench(settings);
  Client first = bench.connect();
  CHECK_FALSE(bench.sessions.is_full());
  const Client second = bench.connect();
  CHECK(bench.sessions.is_full());
  first.close();
  bench.run();
  CHECK_FALSE(bench.sessions.is_full());
}

TEST_CASE("sessions that are open at the end are closed with their group") {
  const NoLeak no_leak;
  Bench bench;
  std::vector<Client> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(bench.connect());
  clients[3].say("GET /");
  bench.run();
  CHECK(bench.sessions.size() == 50);
}

}  // namespace baton::test
