// Unit tests of the control socket: requests as bytes, however they come, and what is no request.
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/control/control_server.hpp"

namespace baton::test {

TEST_CASE("control: half a request gets 408, silence only its end") {
  const NoLeak no_leak;
  ControlServer server(hasty());
  ControlPeer half(server);
  ControlPeer body(server);
  ControlPeer silent(server);
  REQUIRE(half.send("GET /status HT"));
  REQUIRE(body.send("POST /scale HTTP/1.1\r\nContent-Length: 8\r\n\r\n{\"to"));
  const ControlAnswer answer = half.answer();
  CHECK(answer.status == 408);
  CHECK_FALSE(answer.keeps_alive);
  CHECK(body.answer().status == 408);
  silent.wait_for_close();
  CHECK(silent.received().empty());
}

TEST_CASE("control: a request that trickles in does not get more time for it") {
  ControlServer server(hasty());
  ControlPeer peer(server);
  REQUIRE(peer.send("GET /status HTTP/1.1\r\nX: "));
  std::optional<Deadline> next;
  server.run_until([&] {
    if (!next || next->has_passed()) {
      peer.send("x");
      next.emplace(1ms);
    }
    return !peer.receive() || !peer.received().empty();
  });
  CHECK(contains(peer.received(), "408"));
}

TEST_CASE("control: each request has its time, from the end of the answer before") {
  ControlLimits limits;
  limits.request = 400ms;
  ControlServer server(limits);
  ControlPeer peer(server);
  auto answered = std::chrono::steady_clock::now();
  for (int i = 0; i < 6; ++i) {
    const Deadline pause(100ms);
    server.run_until([&] { return pause.has_passed(); });
    CHECK(peer.request("GET /status").status == 200);
    answered = std::chrono::steady_clock::now();
  }
  peer.wait_for_close();
  CHECK(std::chrono::steady_clock::now() - answered >= limits.request);
}

TEST_CASE("control: a command may take longer than a request, and behind its answer silence ends again") {
  ControlServer server(hasty());
  ControlPeer peer(server);
  peer.ask("POST /reload");
  server.run_until([&] { return !server.commands.asked.empty(); });
  const Deadline long_enough(2 * hasty().request);
  server.run_until([&] { return long_enough.has_passed(); });
  server.commands.asked.front().done({true, "done"});
  CHECK(peer.answer().status == 200);
  peer.wait_for_close();
}

TEST_CASE("control: a request cut off in the middle is answered where the client still reads") {
  ControlServer server;
  ControlPeer peer(server);
  REQUIRE(peer.send("GET /status HTTP/1.1\r\nHos"));
  peer.end_sending();
  CHECK(peer.answer().status == 400);
}

TEST_CASE("control: a client that only ends its sending gets its answer") {
  ControlServer server;
  ControlPeer peer(server);
  peer.ask("POST /reload");
  peer.end_sending();
  server.run_until([&] { return !server.commands.asked.empty(); });
  server.settle();
  server.commands.asked.front().done({true, "done"});
  CHECK(peer.answer().status == 200);
}

TEST_CASE("control: what is not HTTP is answered so") {
  ControlServer server;
  ControlPeer peer(server);
  REQUIRE(peer.send("status\r\n\r\n"));
  const ControlAnswer answer = peer.answer();
  CHECK(answer.status == 400);
  CHECK_FALSE(answer.keeps_alive);
  CHECK(contains(answer.message(), "not HTTP"));
}

TEST_CASE("control: 1 MB of header gets 431 and a large body 413, and both can be read") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer header(server);
  CHECK(header.send("GET /status HTTP/1.1\r\nX: " + std::string(1'000'000, 'x') + "\r\n\r\n"));
  CHECK(header.answer().status == 431);
  ControlPeer above(server);
  CHECK(above.send("GET /status HTTP/1.1\r\nX: " + std::string(8192, 'x') + "\r\n\r\n"));
  CHECK(above.answer().status == 431);
  ControlPeer below(server);
  CHECK(below.send("GET /status HTTP/1.1\r\nX: " + std::string(8100, 'x') + "\r\n\r\n"));
  CHECK(below.answer().status == 200);
  ControlPeer target(server);
  target.send("GET /" + std::string(1'000'000, 'x'));
  CHECK(target.answer().status == 431);
  ControlPeer body(server);
  body.send("POST /scale HTTP/1.1\r\nContent-Length: 1049601\r\n\r\n" + std::string(1'049'601, ' '));
  CHECK(body.answer().status == 413);
  ControlPeer chunked(server);
  chunked.send("POST /scale HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + std::string(0x200000, ' '));
  CHECK(chunked.answer().status == 413);
  ControlPeer fitting(server);
  const std::string to = R"({"to":8})";
  CHECK(fitting.request("POST /scale?wait=no", to + std::string(1'049'600 - to.size(), ' ')).status == 202);
}

TEST_CASE("control: a client that expects 100 Continue gets it before its body") {
  ControlServer server;
  ControlPeer peer(server);
  REQUIRE(peer.send("POST /scale?wait=no HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n"));
  peer.wait_for("100 Continue\r\n\r\n");
  REQUIRE(peer.send(R"({"to":8})"));
  peer.wait_for("202 Accepted");
}

TEST_CASE("control: HTTP/1.0 and HEAD") {
  ControlServer server;
  ControlPeer old(server);
  REQUIRE(old.send("GET /status HTTP/1.0\r\n\r\n"));
  old.wait_for_close();
  CHECK(contains(old.received(), "{\"name\":\"fake\"}"));
  CHECK(old.received().starts_with("HTTP/1.0 200 OK\r\n"));
  ControlPeer staying(server);
  REQUIRE(staying.send("GET /status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  CHECK(staying.answer().keeps_alive);
  ControlPeer head(server);
  head.ask("HEAD /scale");
  head.wait_for("\r\n\r\n");
  CHECK(contains(head.received(), "405"));
  CHECK(head.received().ends_with("\r\n\r\n"));
}

TEST_CASE("control: pipelined requests are answered in their order") {
  ControlServer server;
  ControlPeer peer(server);
  REQUIRE(peer.send("GET /status HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\n\r\nGET /status HTTP/1.1\r\n\r\n"));
  CHECK(peer.answer().status == 200);
  CHECK(peer.answer().status == 404);
  CHECK(peer.answer().status == 200);
}

TEST_CASE("control: an answer does not wait for what stands behind its request") {
  ControlServer server;
  ControlPeer peer(server);
  const std::string get = "GET /status HTTP/1.1\r\n\r\n";
  REQUIRE(peer.send(get + "GET /status HT"));
  CHECK(peer.answer().status == 200);
  REQUIRE(peer.send("TP/1.1\r\n\r\n" + get + "POST /reload HTTP/1.1\r\n\r\n" + get));
  for (int i = 0; i < 2; ++i) CHECK(peer.answer().status == 200);
  server.settle();
  peer.receive();
  CHECK(peer.received().empty());
  REQUIRE(server.commands.asked.size() == 1);
  server.commands.asked.front().done({false, "no"});
  CHECK(peer.answer().status == 409);
  REQUIRE(peer.send(get + "GET /events HTTP/1.1\r\n\r\n"));
  for (int i = 0; i < 2; ++i) CHECK(peer.answer().status == 200);
  peer.wait_for("chunked");
}

TEST_CASE("control: answers to many requests at once come whole, also to a client that only ends its sending") {
  ControlServer server;
  server.commands.shown = {{"long", std::string(1000, 'x')}};
  ControlPeer peer(server);
  std::string requests;
  constexpr int many = 400;
  for (int i = 0; i < many; ++i) requests += "GET /status HTTP/1.1\r\n\r\n";
  REQUIRE(peer.send(requests + "GET /wrong\r\n\r\n"));
  peer.end_sending();
  for (int i = 0; i < many; ++i) REQUIRE(peer.answer().status == 200);
  CHECK(peer.answer().status == 400);
  peer.wait_for_close();
}

}  // namespace baton::test
