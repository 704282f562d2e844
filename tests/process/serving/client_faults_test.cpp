// Process tests. Clients that are slow, silent or wrong cost their own connection, and nobody else's.
#include <fmt/format.h>
#include <sys/socket.h>

#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"

using namespace baton::test;

TEST_CASE("a client that sends byte by byte is cut off when its time is over, and hinders nobody") {
  Baton baton({"-w", "1", "--header-timeout", "400ms"});
  Connection slow(baton.address());
  const std::string request = "GET / HTTP/1.1\r\nHost: test\r\nX: " + std::string(4000, 'x');
  std::size_t sent = 0;
  int others = 0;
  do {
    REQUIRE(slow.send(request.substr(sent++, 1)));
    if (sent % 4 == 0) others += answering_pid(baton.address()) > 0 ? 1 : 0;
  } while (!slow.is_readable_within(10) && sent < request.size());
  CHECK(sent > 4);
  CHECK(others > 0);
  CHECK(slow.read_response().status == 408);
  CHECK(slow.read_to_end().empty());
}

TEST_CASE("a client that sends nothing is cut off without a word") {
  Baton baton({"-w", "1", "--header-timeout", "200ms"});
  Connection silent(baton.address());
  CHECK(silent.read_to_end().empty());
  answering_pid(baton.address());
}

TEST_CASE("a kept connection ends when it has rested too long") {
  Baton baton({"-w", "1", "--idle-timeout", "200ms"});
  Connection connection(baton.address());
  connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  pid_in(connection.read_response());
  CHECK(connection.read_to_end().empty());
}

TEST_CASE("half a request, and half a body, are answered 408") {
  Baton baton({"-w", "1", "--header-timeout", "200ms", "--body-timeout", "300ms"});
  Connection half(baton.address());
  half.send("GET / HTTP/1.1\r\nHo");
  Connection half_body(baton.address());
  half_body.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nabc");
  CHECK(half.read_response().status == 408);
  CHECK(half.read_to_end().empty());
  CHECK(half_body.read_response().status == 408);
  CHECK(half_body.read_to_end().empty());
}

TEST_CASE("half a request and then the end of file, or a reset, leaves the worker as it was") {
  Baton baton({"-w", "1"});
  for (int i = 0; i < 50; ++i) {
    Connection leaving(baton.address());
    leaving.send("GET / HTTP/1.1\r\nHo");
    const linger at_once{1, 0};  // close(2) sends a reset
    if (i % 2 == 0) ::setsockopt(leaving.socket().get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  CHECK(answering_pid(baton.address()) == baton.pids().front());
}

TEST_CASE("garbage is answered 400 and the connection closed") {
  Baton baton({"-w", "1"});
  const std::string all_bytes = [] {
    std::string text;
    for (int i = 0; i < 256; ++i) text += static_cast<char>(i);
    return text + "\r\n\r\n";
  }();
  for (const std::string& each :
       {std::string("hello\r\n\r\n"), all_bytes, std::string("\x16\x03\x01\x02\r\n\r\n", 8)}) {
    Connection connection(baton.address());
    connection.send(each);
    CHECK(connection.read_response().status == 400);
    CHECK(connection.read_to_end().empty());
  }
  CHECK(answering_pid(baton.address()) == baton.pids().front());
}

TEST_CASE("a client that never reads is cut off, and hinders nobody") {
  Baton baton({"-w", "1", "--idle-timeout", "300ms"});
  Connection deaf(baton.address());
  const int small = 4096;
  ::setsockopt(deaf.socket().get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const timeval short_limit{0, 100'000};
  ::setsockopt(deaf.socket().get(), SOL_SOCKET, SO_SNDTIMEO, &short_limit, sizeof short_limit);
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
  while (deaf.send(many)) {  // until nothing fits between us, or the worker has had enough
  }
  CHECK(answering_pid(baton.address()) == baton.pids().front());
  // A close with unread bytes is a reset here, as it should be: only that it comes is of interest.
  while (true) {
    char bytes[65536];
    if (::recv(deaf.socket().get(), bytes, sizeof bytes, 0) <= 0) break;
  }
  CHECK(answering_pid(baton.address()) == baton.pids().front());
}
