// Unit tests of the control socket: many clients, slow ones and dead ones, those that wait or hear events, and its end.
#include <boost/asio/post.hpp>
#include <filesystem>
#include <list>

#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/starvation.hpp"
#include "tests/unit/control/control_server.hpp"

namespace baton::test {

TEST_CASE("control: 200 silent connections don't keep a good client waiting") {
  const NoLeak no_leak;
  ControlServer server;
  const std::size_t before = open_descriptors().size();
  std::list<ControlPeer> silent;
  for (int i = 0; i < 200; ++i) {
    silent.emplace_back(server);
    silent.back().send("G");
  }
  ControlPeer good(server);
  CHECK(good.request("GET /status").status == 200);
  CHECK(open_descriptors().size() - before == 200 + 1 + 64);  // theirs, the good one's, and the master's ends
  CHECK(silent.front().is_closed());
  CHECK_FALSE(silent.back().is_closed());
}

TEST_CASE("control: clients that wait for a command are never closed for others, and leave room for some") {
  const NoLeak no_leak;
  ControlServer server;
  std::list<ControlPeer> waiting;
  for (int i = 0; i < 40; ++i) waiting.emplace_back(server).ask("POST /reload");
  std::list<ControlPeer> hearing;
  for (int i = 0; i < 8; ++i) {
    hearing.emplace_back(server).ask("GET /events");
    hearing.back().wait_for("\r\n\r\n");
  }
  server.run_until([&] { return server.commands.asked.size() == 40; });
  ControlPeer late(server);
  const ControlAnswer refused = late.request("POST /reload");
  CHECK(refused.status == 503);
  CHECK(contains(refused.message(), "48"));
  CHECK(late.request("GET /events").status == 503);
  CHECK(server.commands.asked.size() == 40);
  CHECK(late.request("POST /reload?wait=no").status == 202);
  {
    std::list<ControlPeer> silent;
    for (int i = 0; i < 100; ++i) silent.emplace_back(server).send("G");
  }
  server.commands.events().publish("stopping", {});
  for (ControlPeer& each : hearing) each.wait_for("\"stopping\"");
  for (const auto& each : server.commands.asked) each.done({true, "done"});
  for (ControlPeer& each : waiting) CHECK(each.answer().status == 200);
}

TEST_CASE("control: two commands at once are answered each on its own") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer first(server);
  ControlPeer second(server);
  first.ask("POST /reload");
  second.ask("POST /scale?to=8");
  server.run_until([&] { return server.commands.asked.size() == 2; });
  server.settle();
  for (auto& each : server.commands.asked)
    if (each.what == "scale 8") each.done({true, "scaled"});
  CHECK(second.answer().message() == "scaled");
  first.receive();
  CHECK(first.received().empty());
  for (auto& each : server.commands.asked)
    if (each.what == "reload") each.done({false, "failed"});
  CHECK(first.answer().message() == "failed");
}

TEST_CASE("control: a client that dies while its command runs changes nothing, and its place is free at once") {
  const NoLeak no_leak;
  ControlServer server;
  std::optional<ControlPeer> peer(server);
  const std::size_t before = open_descriptors().size();
  peer->ask("POST /reload");
  server.run_until([&] { return server.commands.asked.size() == 1; });
  server.settle();
  peer.reset();
  server.run_until([&] { return open_descriptors().size() == before - 1; });
  server.commands.asked.front().done({true, "done"});
  server.settle();
  ControlPeer next(server);
  CHECK(next.request("GET /status").status == 200);
}

TEST_CASE("control: events come as they happen, one a line, from the header on") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer peer(server);
  peer.ask("GET /events");
  peer.wait_for("\r\n\r\n");
  CHECK(contains(peer.received(), "Transfer-Encoding: chunked\r\n"));
  CHECK(contains(peer.received(), "application/x-ndjson"));
  server.commands.events().publish("worker_ready", {{"worker", 2}, {"message", "worker 2 pid 77 ready"}});
  peer.wait_for("\"event\":\"worker_ready\",\"worker\":2,\"message\":\"worker 2 pid 77 ready\"}\n\r\n");
  server.commands.events().publish("stopping", {});
  server.control->close();
  const ControlAnswer whole = peer.answer();
  CHECK(count_of(whole.body, "\n") == 2);
  peer.wait_for_close();
}

TEST_CASE("control: an events client that goes away is forgotten") {
  const NoLeak no_leak;
  ControlServer server;
  const std::size_t before = open_descriptors().size();
  {
    ControlPeer peer(server);
    peer.ask("GET /events");
    peer.wait_for("\r\n\r\n");
  }
  server.run_until([&] { return open_descriptors().size() <= before; });
  server.commands.events().publish("stopping", {});
  server.settle();
}

TEST_CASE("control: an events client that does not read is dropped, and the others hear all") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer slow(server);
  ControlPeer good(server);
  for (ControlPeer* each : {&slow, &good}) {
    each->ask("GET /events");
    each->wait_for("\r\n\r\n");
  }
  const std::size_t before = open_descriptors().size();
  const CapturedErrors errors;
  const std::string text(10'000, 'x');
  int published = 0;
  server.run_until([&] {
    server.commands.events().publish("worker_ready", {{"message", text}});
    ++published;
    good.receive();
    return open_descriptors().size() < before + 2;  // and the captured errors' two
  });
  CHECK(published > 100);  // a mebibyte, and what the socket takes
  CHECK(published < 1000);
  CHECK(contains(errors.text(), "does not read"));
  server.commands.events().publish("stopping", {});
  good.wait_for("\"stopping\"");
  CHECK(count_of(good.received(), "worker_ready") == static_cast<std::size_t>(published));
}

TEST_CASE("control: a client that does not read its answer is closed in time") {
  const NoLeak no_leak;
  ControlLimits limits;
  limits.sending = 30ms;
  ControlServer server(limits);
  server.commands.shown["note"] = std::string(1'000'000, 'x');
  ControlPeer peer(server);
  const std::size_t before = open_descriptors().size();
  peer.ask("GET /status");
  server.run_until([&] { return open_descriptors().size() > before; });
  server.run_until([&] { return open_descriptors().size() == before; });
  peer.wait_for_close();
  CHECK(peer.received().size() < 1'000'000);
}

TEST_CASE("control: closing lets answers out, ends the rest, and leaves nothing to run") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer idle(server);
  ControlPeer stopper(server);
  CHECK(idle.request("GET /status").status == 200);
  stopper.ask("POST /stop");
  server.run_until([&] { return !server.commands.asked.empty(); });
  server.settle();
  ChargedTime closing({});
  server.control->close();
  CHECK_FALSE(std::filesystem::exists(server.path));
  server.commands.asked.front().done({true, "stopped"});
  server.context.restart();
  server.context.run();
  CHECK(closing.read().charged < 900ms);
  const ControlAnswer answer = stopper.answer();
  CHECK(answer.status == 200);
  CHECK_FALSE(answer.keeps_alive);
  CHECK(idle.is_closed());
  CHECK(stopper.is_closed());
}

TEST_CASE("control: a command that ends with closing, before it returns, is answered") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer peer(server);
  server.commands.on_ask = [&](const std::string&, const Done& done) {
    done({true, "stopped"});
    server.control->close();
  };
  CHECK(peer.request("POST /stop").message() == "stopped");
  CHECK(peer.is_closed());
}

TEST_CASE("control: closing does not wait for ever for a command or a reader") {
  const NoLeak no_leak;
  ControlServer server(hasty());
  ControlPeer waiting(server);
  ControlPeer slow(server);
  waiting.ask("POST /reload");
  slow.ask("GET /events");
  slow.wait_for("\r\n\r\n");
  server.run_until([&] { return !server.commands.asked.empty(); });
  server.settle();
  server.commands.events().publish("x", {{"message", std::string(900'000, 'x')}});
  server.control->close();
  server.context.restart();
  server.context.run();
  CHECK(waiting.is_closed());
  CHECK(slow.is_closed());
}

TEST_CASE("control: it can be destroyed with anything under way, and commands may end later") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer waiting(server);
  ControlPeer hearing(server);
  ControlPeer half(server);
  waiting.ask("POST /reload");
  hearing.ask("GET /events");
  half.send("GET /st");
  hearing.wait_for("\r\n\r\n");
  server.run_until([&] { return !server.commands.asked.empty(); });
  server.commands.events().publish("x", {{"message", std::string(500'000, 'x')}});
  SECTION("while the loop runs on") {
    server.control.reset();
    server.commands.asked.front().done({true, "late"});
    server.commands.events().publish("x", {});
    server.context.restart();
    server.context.run();
    CHECK(waiting.is_closed());
    CHECK(half.is_closed());
  }
  SECTION("and the loop never runs again") {
    server.control.reset();
    server.commands.asked.front().done({true, "late"});
  }
  SECTION("between a connection's arrival and its acceptance") {
    ControlPeer next(server);
    // Runs before what the loop learns of the arrival, which has then succeeded for nobody.
    boost::asio::post(server.context, [&] { server.control.reset(); });
    server.settle();
    CHECK(next.is_closed());
  }
  SECTION("before it has accepted") {
    ControlPeer next(server);
    server.control.reset();
    server.settle();
  }
}

TEST_CASE("control: it can be destroyed by the command that it runs") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer peer(server);
  server.commands.on_ask = [&](const std::string&, const Done& done) {
    server.control.reset();
    done({true, "stopped"});
  };
  peer.ask("POST /stop");
  peer.wait_for_close();
  CHECK(peer.received().empty());
}

TEST_CASE("control: destroyed before the loop ever ran") {
  const NoLeak no_leak;
  ControlServer server;
  server.control.reset();
  server.settle();
}

}  // namespace baton::test
