// Unit tests of what time does to connections: deadlines, and the drain.
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/worker/session/session_bench.hpp"

namespace baton::test {
namespace {

WorkerSettings short_times() {
  WorkerSettings settings;
  settings.header_timeout = 1000ms;
  settings.body_timeout = 3000ms;
  settings.idle_timeout = 5000ms;
  return settings;
}

void check_closed_silently(const Bench& bench, const Client& client) {
  const Heard heard = client.hear();
  CHECK(heard.text.empty());
  CHECK(heard.ended);
  CHECK(bench.sessions.size() == 0);
}

/// Ended by half: what the client still sends is thrown away, until it ends, too.
void check_ended_silently(Bench& bench, const Client& client) {
  const Heard heard = client.hear();
  CHECK(heard.text.empty());
  CHECK(heard.ended);
  client.end_sending();
  bench.run();
}

void check_timed_out(const Client& client) {
  const Heard heard = client.hear();
  CHECK(heard.text.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
  CHECK(heard.ended);
}

}  // namespace

TEST_CASE("there is no deadline without a connection") {
  Bench bench;
  CHECK_FALSE(bench.sessions.until_next_deadline());
  Client client = bench.connect();
  CHECK(bench.sessions.until_next_deadline() == 10'000ms);
  client.close();
  bench.run();
  CHECK_FALSE(bench.sessions.until_next_deadline());
}

TEST_CASE("the next deadline is the nearest of all, and never in the past") {
  Bench bench(short_times());
  const Client resting = bench.connect();
  CHECK_FALSE(bench.exchange(resting, get_request()).text.empty());
  CHECK(bench.sessions.until_next_deadline() == 5000ms);
  const Client fresh = bench.connect();
  CHECK(bench.sessions.until_next_deadline() == 1000ms);
  bench.advance(400ms);
  CHECK(bench.sessions.until_next_deadline() == 600ms);
}

TEST_CASE("a connection that says nothing is closed silently") {
  const NoLeak no_leak;
  Bench bench(short_times());
  const Client client = bench.connect();
  bench.advance(999ms);
  CHECK(bench.sessions.size() == 1);
  bench.advance(1ms);
  check_closed_silently(bench, client);
}

TEST_CASE("time that passed while nothing happened is not counted against who comes then") {
  Bench bench(short_times());
  const Client client = bench.connect();
  CHECK(bench.exchange(client, get_request()).text == pid_answer());
  client.say("GET / HT");
  // The loop's order: woken, take the time, run the handlers, expire. The worker slept four seconds in its wait.
  bench.poller.wait(0, [&] { bench.set_time_after(4000ms); });
  bench.sessions.expire();
  CHECK(client.hear().text.empty());
  CHECK(bench.sessions.until_next_deadline() == 1000ms);
}

TEST_CASE("empty lines are nothing said") {
  Bench bench(short_times());
  const Client client = bench.connect();
  CHECK(bench.exchange(client, "\r\n\r\n\r").text.empty());
  bench.advance(1000ms);
  check_closed_silently(bench, client);
}

TEST_CASE("a connection at rest is closed silently after the idle time, counted from its last answer") {
  const NoLeak no_leak;
  Bench bench(short_times());
  const Client client = bench.connect();
  for (int i = 0; i < 3; ++i) {
    CHECK(bench.exchange(client, get_request()).text == pid_answer());
    bench.advance(4999ms);
    CHECK(bench.sessions.size() == 1);
  }
  bench.advance(1ms);
  check_closed_silently(bench, client);
}

TEST_CASE("half a header is answered 408 when its time is up") {
  const NoLeak no_leak;
  Bench bench(short_times());
  const bool is_second_request = GENERATE(false, true);
  CAPTURE(is_second_request);
  Client client = bench.connect();
  if (is_second_request) {
    CHECK_FALSE(bench.exchange(client, get_request()).text.empty());
    bench.advance(4000ms);
  }
  CHECK(bench.exchange(client, "GET / HT").text.empty());
  bench.advance(999ms);
  CHECK(client.hear().text.empty());
  bench.advance(1ms);
  check_timed_out(client);
  client.say("TP/1.1\r\n");  // too late, and yet no reason to reset the answer
  bench.run();
  CHECK(client.hear().error == 0);
  CHECK(bench.sessions.size() == 1);
  client.close();
  bench.run();
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("half a body is answered 408 when its time is up, counted from the header's end") {
  const NoLeak no_leak;
  Bench bench(short_times());
  const std::string half =
      GENERATE(std::string("Content-Length: 50\r\n\r\nha"), std::string("Transfer-Encoding: chunked\r\n\r\n5\r\nha"));
  const Client client = bench.connect();
  CHECK(bench.exchange(client, "POST / HTTP/1.1\r\nHost: x\r\n").text.empty());
  bench.advance(900ms);
  CHECK(bench.exchange(client, half).text.empty());
  bench.advance(2000ms);
  CHECK(bench.exchange(client, "l").text.empty());  // progress buys no time
  bench.advance(999ms);
  CHECK(client.hear().text.empty());
  bench.advance(1ms);
  check_timed_out(client);
}

TEST_CASE("a client that sends one byte at a time has the header's time and no more") {
  const NoLeak no_leak;
  Bench bench(short_times());
  const Client client = bench.connect();
  const std::string slow = "GET / HTTP/1.1\r\nHost: " + std::string(200, 'x');
  std::size_t bytes = 0;
  Heard heard;
  for (; bytes < slow.size() && !heard.ended; ++bytes) {
    heard = bench.exchange(client, slow.substr(bytes, 1));
    if (!heard.ended) bench.advance(100ms);
    if (!heard.ended) heard = client.hear();
  }
  CHECK(bytes == 10);
  CHECK(heard.text.starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a client that does not read its answers has the idle time, as long as nothing moves") {
  const NoLeak no_leak;
  Bench bench(short_times());
  const Client client = bench.connect(4096);
  client.say(repeated(get_request(), 500));
  bench.run();
  bench.advance(4999ms);
  CHECK(bench.sessions.size() == 1);
  CHECK_FALSE(client.hear().text.empty());
  bench.run();  // some of the rest is sent: the time begins anew
  bench.advance(4999ms);
  CHECK(bench.sessions.size() == 1);
  bench.advance(1ms);
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a client that never ends its side after an error is closed in the end") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  CHECK(bench.exchange(client, "nonsense\r\n\r\n").text.starts_with("HTTP/1.1 400 "));
  bench.advance(1999ms);
  client.say("more");
  bench.run();
  CHECK(bench.sessions.size() == 1);
  bench.advance(1ms);
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a drain gives connections at rest a moment and then closes them silently") {
  const NoLeak no_leak;
  Bench bench;
  const Client fresh = bench.connect();
  const Client resting = bench.connect();
  CHECK_FALSE(bench.exchange(resting, get_request()).text.empty());
  bench.sessions.drain();
  CHECK(bench.sessions.is_draining());
  CHECK(bench.sessions.size() == 2);
  bench.advance(499ms);
  CHECK(bench.sessions.size() == 2);
  bench.advance(1ms);
  check_ended_silently(bench, fresh);
  check_ended_silently(bench, resting);
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a request that comes just after the last moment meets the end of the stream, and no reset") {
  const NoLeak no_leak;
  Bench bench;
  const Client late = bench.connect();
  CHECK_FALSE(bench.exchange(late, get_request()).text.empty());
  bench.sessions.drain();
  bench.advance(500ms);
  late.say(get_request());
  bench.run();
  const Heard heard = late.hear();
  CHECK(heard.text.empty());
  CHECK(heard.ended);
  CHECK(heard.error == 0);
  late.end_sending();
  bench.run();
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a request on the wire when the drain begins is answered, and told of the close") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  CHECK_FALSE(bench.exchange(client, get_request()).text.empty());
  bench.sessions.drain();
  const Heard heard = bench.exchange(client, get_request());
  CHECK(heard.text == closing_answer());
  CHECK(heard.ended);
  // It may have sent another before it knew: that must not reset the answer.
  client.say(get_request());
  bench.run();
  CHECK(client.hear().error == 0);
  client.end_sending();
  bench.run();
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a request half received when the drain begins has its whole time") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect();
  CHECK(bench.exchange(client, get_request().substr(0, 9)).text.empty());
  bench.sessions.drain();
  bench.advance(9000ms);
  const Heard heard = bench.exchange(client, get_request().substr(9));
  CHECK(heard.text == closing_answer());
  CHECK(heard.ended);
}

TEST_CASE("of pipelined requests in a drain all are answered, and the last answer closes") {
  Bench bench;
  const Client client = bench.connect();
  bench.sessions.drain();
  const Heard heard = bench.exchange(client, repeated(get_request(), 3));
  CHECK(heard.text == pid_answer() + pid_answer() + closing_answer());
  CHECK(heard.ended);
  CHECK(heard.error == 0);
}

TEST_CASE("what came in time is answered, though nobody looked until the time was over") {
  const NoLeak no_leak;
  Bench bench;
  const Client resting = bench.connect();
  const Client begun = bench.connect();
  CHECK_FALSE(bench.exchange(resting, get_request()).text.empty());
  begun.say(get_request().substr(0, 9));
  bench.run();
  const bool drains = GENERATE(false, true);
  if (drains) bench.sessions.drain();
  resting.say(get_request());
  begun.say(get_request().substr(9));
  bench.advance(100s);
  CHECK(resting.hear().text == (drains ? closing_answer() : pid_answer()));
  CHECK(begun.hear().text == (drains ? closing_answer() : pid_answer()));
}

TEST_CASE("answers that are blocked when the drain begins are delivered, and then the connection rests no longer") {
  const NoLeak no_leak;
  Bench bench;
  const Client client = bench.connect(4096);
  client.say(repeated(get_request(), 200));
  bench.run();
  bench.sessions.drain();
  bench.advance(600ms);
  std::string answers;
  for (int round = 0; round < 1000 && answers.size() < 200 * pid_answer().size(); ++round) {
    answers += client.hear().text;
    bench.run(1);
  }
  CHECK(answers == repeated(pid_answer(), 200));
  CHECK(bench.sessions.size() == 1);
  bench.advance(500ms);
  check_ended_silently(bench, client);
  CHECK(bench.sessions.size() == 0);
}

TEST_CASE("a connection adopted during a drain is served once") {
  Bench bench;
  bench.sessions.drain();
  const Client client = bench.connect();
  const Client silent = bench.connect();
  CHECK(bench.exchange(client, get_request()).text == closing_answer());
  bench.advance(500ms);
  CHECK(silent.hear().ended);
}

TEST_CASE("who sends without end gets no more time by it") {
  const NoLeak no_leak;
  Bench bench(short_times());
  const Client client = bench.connect();
  bench.run();
  static_cast<void>(client.say_some(repeated("\r\n", 100'000)));  // more than is read at once, and no request
  bench.advance(1000ms);
  bench.run();
  bench.advance(2000ms);
  CHECK(bench.sessions.size() == 0);
}

}  // namespace baton::test
