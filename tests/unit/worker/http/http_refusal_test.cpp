// Unit tests of requests that are refused, each by the status that says why, however the request is split.
#include "tests/unit/worker/http/http_feed.hpp"
#include "worker/http.hpp"

namespace baton::http {
namespace {

using State = RequestParser::State;

const std::string host = "Host: x\r\n";

std::string get(const std::string& fields) {
  return "GET / HTTP/1.1\r\n" + fields + "\r\n";
}

std::string post(const std::string& fields, const std::string& body = "") {
  return "POST / HTTP/1.1\r\n" + host + fields + "\r\n" + body;
}

std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}

}  // namespace

TEST_CASE("400: no request at all") {
  CHECK(refusal("hello world\r\n\r\n") == 400);
  CHECK(refusal("GET\r\n\r\n") == 400);
  CHECK(refusal("GET /\r\n\r\n") == 400);
  CHECK(refusal("GET  / HTTP/1.1\r\n" + host + "\r\n") == 400);
  CHECK(refusal(" GET / HTTP/1.1\r\n" + host + "\r\n") == 400);
  CHECK(refusal("GET / HTTP/1.1 \r\n" + host + "\r\n") == 400);
  CHECK(refusal("GET / http/1.1\r\n" + host + "\r\n") == 400);
  CHECK(refusal("GET / HTTP/11\r\n" + host + "\r\n") == 400);
  CHECK(refusal("GET / HTTP/1.1x\r\n" + host + "\r\n") == 400);
  CHECK(refusal("G\x01T / HTTP/1.1\r\n" + host + "\r\n") == 400);
  CHECK(refusal(std::string("GET /\0 HTTP/1.1\r\n\r\n", 20)) == 400);
  CHECK(refusal(std::string(40, '\0') + "\r\n\r\n") == 400);
}

TEST_CASE("400: a TLS hello, at once and not when its time is up") {
  using namespace std::string_literals;
  const std::string hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and some thirty-two random bytes"s;
  CHECK(refusal(hello) == 400);
}

TEST_CASE("400: lines that do not end in CR LF") {
  CHECK(refusal("GET / HTTP/1.1\n" + host + "\n") == 400);
  CHECK(refusal("GET / HTTP/1.1\r\nHost: x\n\n") == 400);
  CHECK(refusal("GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n") == 400);
  CHECK(refusal("GET / HTTP/1.1\r" + host + "\r\n") == 400);
}

TEST_CASE("400: a header that is none") {
  CHECK(refusal(get(host + "no colon\r\n")) == 400);
  CHECK(refusal(get(host + ": no name\r\n")) == 400);
  CHECK(refusal(get(host + "Space : x\r\n")) == 400);
  CHECK(refusal(get(host + std::string("X: a\0b\r\n", 8))) == 400);
  CHECK(refusal(get(host + "X: a\x01"
                           "b\r\n")) == 400);
}

TEST_CASE("400: not one Host") {
  CHECK(refusal(get("")) == 400);
  CHECK(refusal(get("Host: x\r\nHost: x\r\n")) == 400);
  CHECK(refusal("GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n") == 400);
}

TEST_CASE("400: a body of doubtful length") {
  for (const char* length : {"-1", "+5", "5x", "0x5", "", "5, 6", "99999999999999999999999"})
    CHECK(refusal(post("Content-Length: " + std::string(length) + "\r\n", "hello")) == 400);
  CHECK(refusal(post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")) == 400);
  CHECK(refusal(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")) == 400);
  CHECK(refusal(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")) == 400);
  CHECK(refusal(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")) == 400);
  CHECK(refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
}

TEST_CASE("400: a chunked body that is none") {
  for (const char* body : {"x\r\n\r\n", "\r\n\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "5\r\nhello0\r\n\r\n", "-1\r\na\r\n",
                           "1 2\r\na\r\n0\r\n\r\n", "5;=\r\nhello\r\n0\r\n\r\n", "0;=\r\n\r\n",
                           "11111111111111111\r\na\r\n0\r\n\r\n", "0\r\nno colon\r\n\r\n"})
    CHECK(refusal(chunked(body)) == 400);
}

TEST_CASE("413: a body above the limit") {
  CHECK(refusal(post("Content-Length: 101\r\n", std::string(101, 'x'))) == 413);
  CHECK(refusal(post("Content-Length: 100\r\n", std::string(100, 'x'))) == 0);
  CHECK(refusal(post("Content-Length: 18446744073709551615\r\n")) == 413);
  CHECK(refusal(chunked("65\r\n" + std::string(101, 'x') + "\r\n0\r\n\r\n")) == 413);
  CHECK(refusal(chunked("33\r\n" + std::string(51, 'x') + "\r\n32\r\n" + std::string(50, 'x') + "\r\n0\r\n\r\n")) ==
        413);
  CHECK(refusal(chunked("32\r\n" + std::string(50, 'x') + "\r\n32\r\n" + std::string(50, 'x') + "\r\n0\r\n\r\n")) == 0);
}

TEST_CASE("413 comes with the header, before the body") {
  RequestParser parser(test_limits);
  CHECK(parser.feed(post("Content-Length: 101\r\n")).status == 413);
}

TEST_CASE("414: a request line above the limit") {
  CHECK(refusal("GET /" + std::string(2000, 'x') + " HTTP/1.1\r\n" + host + "\r\n") == 414);
  CHECK(refusal("GET /" + std::string(3000, 'x')) == 414);
}

TEST_CASE("431: fields above the limit, in one field or in many") {
  CHECK(refusal(get(host + "X: " + std::string(2000, 'x') + "\r\n")) == 431);
  CHECK(refusal("GET / HTTP/1.1\r\n" + host + "X: " + std::string(3000, 'x')) == 431);
  std::string many = host;
  while (many.size() < 3000) many += "X: y\r\n";
  CHECK(refusal(get(many)) == 431);
}

TEST_CASE("a header just under the limit is read") {
  const std::string without = get(host + "X: \r\n");
  const std::string just = get(host + "X: " + std::string(1024 - without.size(), 'x') + "\r\n");
  REQUIRE(just.size() == 1024);
  CHECK(refusal(just) == 0);
}

TEST_CASE("417: an expectation that is unknown") {
  CHECK(refusal(get(host + "Expect: a miracle\r\n")) == 417);
  CHECK(refusal(post("Expect: 200-ok\r\nContent-Length: 2\r\n", "hi")) == 417);
}

TEST_CASE("501: what we do not do") {
  CHECK(refusal("BREW / HTTP/1.1\r\n" + host + "\r\n") == 501);
  CHECK(refusal("get / HTTP/1.1\r\n" + host + "\r\n") == 501);
  CHECK(refusal("CONNECT x:443 HTTP/1.1\r\n" + host + "\r\n") == 501);
  CHECK(refusal("TRACE / HTTP/1.1\r\n" + host + "\r\n") == 501);
  CHECK(refusal(post("Transfer-Encoding: gzip\r\n")) == 501);
  CHECK(refusal(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")) == 501);
}

TEST_CASE("505: a version that we do not speak") {
  CHECK(refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505);
  CHECK(refusal("GET / HTTP/3.0\r\n" + host + "\r\n") == 505);
  CHECK(refusal("GET / HTTP/0.9\r\n\r\n") == 505);
  CHECK(refusal("GET / HTTP/1.2\r\n" + host + "\r\n") == 505);
}

TEST_CASE("a HEAD that is refused is known for a HEAD") {
  RequestParser parser(test_limits);
  const auto step = parser.feed("HEAD / HTTP/1.1\r\n\r\n");
  CHECK(step.status == 400);
  CHECK(parser.is_head());
}

}  // namespace baton::http
