// Unit tests of requests that are served, and of the answers' bytes.
#include "worker/http.hpp"

#include "tests/unit/worker/http/http_feed.hpp"

namespace baton::http {
namespace {

using State = RequestParser::State;

/// A request that is complete to its last byte, however it is split.
Outcome accepted(std::string_view text) {
  CAPTURE(text);
  const Outcome outcome = feed_all_ways(text);
  CHECK(outcome.state == State::complete);
  CHECK(outcome.used == text.size());
  return outcome;
}

}  // namespace

TEST_CASE("a GET of HTTP/1.1 keeps the connection") {
  const Outcome outcome = accepted("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(outcome.keeps_alive);
  CHECK_FALSE(outcome.is_head);
  CHECK_FALSE(outcome.is_http_1_0);
  CHECK_FALSE(outcome.expects_continue);
}

TEST_CASE("methods that we know are served alike") {
  for (const char* method : {"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
    CHECK(accepted(std::string(method) + " / HTTP/1.1\r\nHost: x\r\n\r\n").keeps_alive);
  CHECK(accepted("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").is_head);
  CHECK(accepted("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").keeps_alive);
  CHECK(accepted("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n").keeps_alive);
}

TEST_CASE("Connection: close is heard") {
  CHECK_FALSE(accepted("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").keeps_alive);
  CHECK_FALSE(accepted("GET / HTTP/1.1\r\nHost: x\r\nconnection: Foo, CLOSE\r\n\r\n").keeps_alive);
}

TEST_CASE("HTTP/1.0 closes unless it asks not to") {
  const Outcome plain = accepted("GET / HTTP/1.0\r\n\r\n");
  CHECK(plain.is_http_1_0);
  CHECK_FALSE(plain.keeps_alive);
  const Outcome kept = accepted("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(kept.is_http_1_0);
  CHECK(kept.keeps_alive);
}

TEST_CASE("a body with a length is skipped") {
  CHECK(accepted("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").keeps_alive);
  CHECK(accepted("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").keeps_alive);
  CHECK(accepted("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\r\n\r\n").keeps_alive);
  accepted("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
  accepted("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello");
}

TEST_CASE("a chunked body is skipped") {
  const std::string header = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* body : {
           "0\r\n\r\n",
           "5\r\nhello\r\n0\r\n\r\n",
           "1\r\na\r\n2\r\nbc\r\n00\r\n\r\n",
           "A\r\n0123456789\r\n0\r\n\r\n",
           "5;name=value\r\nhello\r\n0\r\n\r\n",
           "5;a;b=\"quoted \\\" ; text\"\r\nhello\r\n0;last\r\n\r\n",
           "5\r\n\r\n\r\nx\r\n0\r\n\r\n",
           "0\r\nTrailer: field\r\n\r\n",
           "5\r\nhello\r\n0\r\nOne: 1\r\nHost: not one\r\n\r\n",
       })
    CHECK(accepted(header + body).keeps_alive);
  accepted("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n");
}

TEST_CASE("empty lines before a request are skipped") {
  CHECK(accepted("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").keeps_alive);
  RequestParser parser(test_limits);
  CHECK(parser.feed("\r\n").used == 2);
  CHECK(parser.feed("\r").used == 0);
  CHECK_FALSE(parser.has_begun());
  CHECK(parser.feed("\r\nG").state == State::need_more);
  CHECK(parser.has_begun());
}

TEST_CASE("fields are read as they may be written") {
  CHECK(accepted("GET / HTTP/1.1\r\nhost:x\r\n\r\n").keeps_alive);
  CHECK(accepted("GET / HTTP/1.1\r\nHost:\r\n\r\n").keeps_alive);
  CHECK(accepted("GET / HTTP/1.1\r\nHOST: \t x \t \r\nX-Text: caf\xc3\xa9\r\n\r\n").keeps_alive);
}

TEST_CASE("of pipelined requests one at a time is used") {
  const std::string first = "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
  const std::string second = "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
  const std::string third = "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n";
  CHECK(feed(first + second + third, {}).used == first.size());
  CHECK(feed(second + third, {}).used == second.size());
  CHECK(feed(third + first.substr(0, 10), {}).used == third.size());
}

TEST_CASE("an expectation of 100-continue is told once the header is read") {
  const std::string text = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi";
  CHECK(accepted(text).expects_continue);
  RequestParser parser(test_limits);
  CHECK(parser.feed(text.substr(0, text.size() - 2)).state == State::need_more);
  CHECK(parser.has_header());
  CHECK(parser.expects_continue());
  CHECK_FALSE(accepted("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue);
}

TEST_CASE("an answer's bytes") {
  Answers answers(4242);
  answers.set_time(784'111'777);
  const auto pid = [&](After after, bool head) {
    std::string out = "before ";
    answers.append_pid(out, after, head);
    return out;
  };
  const std::string begin =
      "before HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
      "Content-Length: 12\r\n";
  CHECK(pid(After::keep, false) == begin + "\r\npid is 4242\n");
  CHECK(pid(After::keep_1_0, false) == begin + "Connection: keep-alive\r\n\r\npid is 4242\n");
  CHECK(pid(After::close, false) == begin + "Connection: close\r\n\r\npid is 4242\n");
  CHECK(pid(After::keep, true) == begin + "\r\n");
  CHECK(pid(After::close, true) == begin + "Connection: close\r\n\r\n");

  answers.set_time(784'111'778);
  CHECK(pid(After::keep, true).find("Sun, 06 Nov 1994 08:49:38 GMT") != std::string::npos);

  std::string out;
  answers.append_continue(out);
  CHECK(out == "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_CASE("an error's bytes") {
  Answers answers(1);
  answers.set_time(784'111'777);
  const bool head = GENERATE(false, true);
  std::string out = "before ";
  answers.append_error(out, 431, head);
  CHECK(out == std::string("before HTTP/1.1 431 Request Header Fields Too Large\r\n"
                           "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
                           "Content-Length: 36\r\nConnection: close\r\n\r\n") +
                   (head ? "" : "431 Request Header Fields Too Large\n"));
  for (const unsigned status : {400U, 408U, 413U, 414U, 417U, 431U, 501U, 505U}) {
    CAPTURE(status);
    std::string each;
    answers.append_error(each, status, false);
    CHECK(each.find("Unknown") == std::string::npos);
    CHECK(each.starts_with("HTTP/1.1 " + std::to_string(status) + " "));
  }
}

}  // namespace baton::http
