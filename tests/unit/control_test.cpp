// Unit tests of the control socket: what it answers, and what its clients can't do to it.
#include "master/control.hpp"

#include <sys/stat.h>

#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <list>

#include "tests/support/descriptors.hpp"
#include "tests/unit/control_server.hpp"
#include "tests/unit/expect.hpp"

namespace baton::test {
namespace {

/// Short, where a test waits for it.
ControlLimits hasty() {
  ControlLimits limits;
  limits.request = 30ms;
  limits.closing = 30ms;
  return limits;
}

}  // namespace

TEST_CASE("control: the table, the status and a second request on the same connection") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer peer(server);
  const ControlAnswer table = peer.request("GET /");
  CHECK(table.status == 200);
  CHECK(table.keeps_alive);
  CHECK(table.json().at("verbs").as_array().size() == 12);
  CHECK(table.json().at("verbs").at(1).at("path").as_string() == "/status");
  const ControlAnswer status = peer.request("GET /status");
  CHECK(status.status == 200);
  CHECK(status.body == "{\"name\":\"fake\"}\n");
}

TEST_CASE("control: a command is answered when it is done, well or not") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer peer(server);
  peer.ask("POST /scale?to=%2B2");
  server.run_until([&] { return !server.commands.asked.empty(); });
  CHECK(server.commands.asked.front().what == "scale +2");
  server.settle();
  peer.receive();
  CHECK(peer.received().empty());
  server.commands.asked.front().done({true, "8 workers are ready"});
  const ControlAnswer scaled = peer.answer();
  CHECK(scaled.status == 200);
  CHECK(scaled.body == "{\"ok\":true,\"message\":\"8 workers are ready\"}\n");

  server.commands.on_ask = [](const std::string&, const Done& done) { done({false, "reload 3: failed: no"}); };
  const ControlAnswer reloaded = peer.request("POST /reload");
  CHECK(reloaded.status == 409);
  CHECK(reloaded.body == "{\"ok\":false,\"message\":\"reload 3: failed: no\"}\n");
  CHECK(reloaded.keeps_alive);
}

TEST_CASE("control: parameters in the query or in the body") {
  ControlServer server;
  ControlPeer peer(server);
  server.commands.on_ask = [](const std::string& what, const Done& done) { done({true, what}); };
  CHECK(peer.request("POST /scale?to=8").message() == "scale 8");
  CHECK(peer.request("POST /scale?to=-1").message() == "scale -1");
  CHECK(peer.request("POST /scale?to=+2").message() == "scale +2");
  CHECK(peer.request("POST /scale", R"({"to":8})").message() == "scale 8");
  CHECK(peer.request("POST /scale", R"({"to":-1})").message() == "scale -1");
  CHECK(peer.request("POST /scale", R"({"to":"+2","wait":"yes"})").message() == "scale +2");
  CHECK(peer.request("POST /reload", " \n").message() == "reload");
  CHECK(peer.request("POST /stop").message() == "stop");
}

TEST_CASE("control: with wait=no the answer comes at once, whatever becomes of the command") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer peer(server);
  for (const std::string target : {"/scale?to=8&wait=no", "/reload?wait=no", "/stop?wait=no"}) {
    const ControlAnswer answer = peer.request("POST " + target);
    CHECK(answer.status == 202);
    CHECK(answer.body == "{\"ok\":true,\"message\":\"accepted\"}\n");
  }
  CHECK(peer.request("POST /scale", R"({"to":8,"wait":false})").status == 202);
  REQUIRE(server.commands.asked.size() == 4);
  server.commands.asked.front().done({false, "too late"});
  CHECK(peer.request("GET /status").status == 200);
}

TEST_CASE("control: wrong parameters are refused with what would be right, and the connection stays") {
  ControlServer server;
  ControlPeer peer(server);
  const auto refused = [&](const std::string& line, const std::string& body = "") {
    const ControlAnswer answer = peer.request(line, body);
    CHECK(answer.status == 400);
    CHECK(answer.keeps_alive);
    CHECK_FALSE(answer.json().at("ok").as_bool());
    return answer.message();
  };
  CHECK(contains(refused("POST /scale"), "/scale?to=8"));
  CHECK(contains(refused("POST /scale?to="), "/scale?to=8"));
  CHECK(refused("POST /scale?to=eight") == "\"eight\" is not a number of workers");
  CHECK(contains(refused("POST /scale?to=8&to=9"), "\"to\" is given twice"));
  CHECK(contains(refused("POST /scale?to=8", R"({"to":8})"), "given twice"));
  CHECK(contains(refused("POST /scale?to=8&now=1"), "no parameter \"now\": it takes to=8"));
  CHECK(contains(refused("GET /status?x"), "it takes none"));
  CHECK(contains(refused("POST /reload?wait=maybe"), "wait is yes or no"));
  CHECK(contains(refused("POST /scale?to=%2"), "hexadecimal"));
  CHECK(contains(refused("POST /scale?to=%ff"), "not plain ASCII"));
  CHECK(contains(refused("POST /scale", "to=8"), "not a JSON object"));
  CHECK(contains(refused("POST /scale", "[8]"), "not a JSON object"));
  CHECK(contains(refused("POST /scale", R"({"to":1.5})"), "no whole number"));
  CHECK(contains(refused("POST /scale", R"({"to":"8\u0000"})"), "not plain ASCII"));
  CHECK(server.commands.asked.empty());
}

TEST_CASE("control: unknown paths list those that are known, and wrong methods name the right one") {
  ControlServer server;
  ControlPeer peer(server);
  const ControlAnswer lost = peer.request("GET /stat\xc3us");
  CHECK(lost.status == 404);
  for (const char* path : {"GET /status", "POST /scale", "POST /reload", "POST /stop", "GET /events"})
    CHECK(contains(lost.message(), path));
  CHECK(peer.request("GET /status/").status == 404);
  for (const std::string path : {"/scale?to=8", "/reload", "/stop"}) {
    const ControlAnswer answer = peer.request("GET " + path);
    CHECK(answer.status == 405);
    CHECK(answer.allow == "POST");
  }
  const ControlAnswer answer = peer.request("POST /events");
  CHECK(answer.status == 405);
  CHECK(answer.allow == "GET");
  CHECK(server.commands.asked.empty());
}

TEST_CASE("control: an error of the system in a command is the client's answer, not the master's end") {
  ControlServer server;
  ControlPeer peer(server);
  server.commands.on_ask = [](const std::string&, const Done&) -> void { throw std::runtime_error("fork: no room"); };
  const CapturedErrors errors;
  const ControlAnswer answer = peer.request("POST /reload");
  CHECK(answer.status == 503);
  CHECK(answer.message() == "fork: no room");
  CHECK(contains(errors.text(), "fork: no room"));
}

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
  const auto begin = std::chrono::steady_clock::now();
  server.control->close();
  CHECK_FALSE(std::filesystem::exists(server.path));
  server.commands.asked.front().done({true, "stopped"});
  server.context.restart();
  server.context.run();
  CHECK(std::chrono::steady_clock::now() - begin < 900ms);
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

TEST_CASE("control: the socket is the user's alone, and descriptors stay in this process") {
  ControlServer server;
  struct stat found {};
  check(::lstat(server.path.c_str(), &found), "lstat");
  CHECK((found.st_mode & 0777) == 0600);
  ControlPeer peer(server);
  CHECK(peer.request("GET /").status == 200);
  for (const std::string& each : open_descriptors()) {
    const int number = std::stoi(each);
    if (number <= STDERR_FILENO || contains(each, "/proc/")) continue;
    const bool is_ours = contains(each, "socket:") || contains(each, "anon_inode");
    if (is_ours) CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("control: a second master on the same path is refused, and told who is there") {
  const NoLeak no_leak;
  ControlServer server;
  const std::string message = message_of<StartError>(
      [&] { const Control second(server.context.get_executor(), server.commands, server.path); });
  CHECK(contains(message, server.path));
  CHECK(contains(message, "another process listens there (pid " + std::to_string(::getpid()) + ")"));
  CHECK(contains(message, "--control"));
  ControlPeer peer(server);
  CHECK(peer.request("GET /status").status == 200);
}

TEST_CASE("control: a path that can't be is refused with the way out") {
  ControlServer server;
  const auto refused = [&](const std::string& path) {
    return message_of<StartError>([&] { const Control other(server.context.get_executor(), server.commands, path); });
  };
  CHECK(contains(refused("/" + std::string(107, 'x')), "longer than 107 bytes"));
  CHECK(contains(refused(""), "empty"));
  CHECK(contains(refused("/nowhere/x.sock"), "directory does not exist"));
  CHECK(contains(refused(server.directory.write("file", "")), "not a socket"));
}

TEST_CASE("control: another user gets 403, whatever became of the file's mode") {
  if (::geteuid() != 0) {
    WARN("not run as root: another user can't be played, so 403 is not tested");
    return;
  }
  const NoLeak no_leak;
  ControlServer server;
  std::filesystem::permissions(server.path, std::filesystem::perms::all);
  std::filesystem::permissions(std::filesystem::path(server.path).parent_path(), std::filesystem::perms::all);
  // The credentials are those at connect(2).
  REQUIRE(::seteuid(65'534) == 0);
  std::optional<ControlPeer> other;
  try {
    other.emplace(server);
  } catch (const std::system_error&) {
    REQUIRE(::seteuid(0) == 0);
    throw;
  }
  REQUIRE(::seteuid(0) == 0);
  other->send("POST /stop HTTP/1.1\r\n\r\n");
  const ControlAnswer answer = other->answer();
  CHECK(answer.status == 403);
  CHECK_FALSE(answer.keeps_alive);
  CHECK(server.commands.asked.empty());
  other.reset();
  server.settle();
}

#ifndef __SANITIZE_ADDRESS__  // which needs a descriptor of its own there, and ends the program without one
TEST_CASE("control: without a descriptor left it waits instead of spinning, and goes on when there is one") {
  const NoLeak no_leak;
  const CapturedErrors errors;
  ControlServer server;
  server.settle();
  std::optional<DescriptorLimit> limit(1);
  ControlPeer peer(server);  // takes the last one
  server.settle();
  int turns = 0;
  const Deadline soon(300ms);
  while (!soon.has_passed()) {
    server.context.restart();
    turns += static_cast<int>(server.context.run_one_for(10ms));
  }
  CHECK(turns < 50);
  CHECK(count_of(errors.text(), "too many open files") == 1);
  limit.reset();
  CHECK(peer.request("GET /status").status == 200);
}
#endif

TEST_CASE("control: without a descriptor left an idle connection gives way to a new one") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer idle(server);
  CHECK(idle.request("GET /status").status == 200);
  const DescriptorLimit limit(1);
  ControlPeer good(server);
  CHECK(good.request("GET /status").status == 200);
  CHECK(idle.is_closed());
}

TEST_CASE("control: the shared state by its paths, with versions, times, sums, pages and refusals") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer peer(server);
  const auto body = [&](const std::string& line, const std::string& value = "") {
    const ControlAnswer answer = peer.request(line, value);
    return std::to_string(answer.status) + " " + answer.body.substr(0, answer.body.size() - 1);
  };
  CHECK(body("PUT /state/a%2Fb", R"({"x":[1,2]})") == R"(200 {"version":1})");
  CHECK(body("GET /state/a%2Fb") == R"(200 {"key":"a/b","value":{"x":[1,2]},"version":1})");
  CHECK(body("GET /state/a/b") == R"(200 {"key":"a/b","value":{"x":[1,2]},"version":1})");
  CHECK(body("PUT /state/a/b?version=7", "1") ==
        R"(409 {"ok":false,"code":"conflict","error":"\"a/b\" has version 1, not 7","version":1})");
  CHECK(body("PUT /state/a/b?version=1&ttl=1h", "1") == R"(200 {"version":2})");
  CHECK(body("POST /state/n?add=41") == R"(200 {"value":41,"version":3})");
  CHECK(body("POST /state/n") == R"(200 {"value":42,"version":4})");
  CHECK(body("POST /state/n?add=-2") == R"(200 {"value":40,"version":5})");
  CHECK(body("GET /state?prefix=n&limit=1") == R"(200 {"entries":[{"key":"n","value":40,"version":5}],"more":false})");
  CHECK(body("DELETE /state/n") == R"(200 {"version":6})");
  CHECK(body("GET /state/n") == R"(404 {"ok":false,"code":"missing","error":"there is no \"n\""})");
  CHECK(peer.request("PUT /state/n", "{").message().starts_with("the body is not JSON"));
  CHECK(peer.request("PUT /state/n", '"' + std::string(70'000, 'x') + '"').status == 413);
  CHECK(peer.request("PUT /state/n?version=x", "1").status == 400);
  CHECK(peer.request("POST /state/n?add=many").message() == "\"many\" is no whole number of 64 bits");
  CHECK(peer.request("GET /state/%2").status == 400);
  CHECK(peer.request("PUT /state/a%FF", "1").message() == "a key is UTF-8");
  CHECK(peer.request("GET /state?watch=maybe").status == 400);
  CHECK(peer.request("GET /state/").status == 404);
  const ControlAnswer wrong = peer.request("PATCH /state/n");
  CHECK(wrong.status == 405);
  CHECK(wrong.allow == "GET, PUT, DELETE, POST");
}

TEST_CASE("control: a message is what the body says, and a wrong one is refused") {
  const NoLeak no_leak;
  ControlServer server;
  server.commands.on_ask = [](const std::string&, const Done& done) { done({true, "asked", R"({"y":1})"}); };
  ControlPeer peer(server);
  const ControlAnswer answer = peer.request("POST /send", R"({"to":2,"message":{"a":1},"timeout":"2s"})");
  CHECK(answer.body == "{\"ok\":true,\"message\":\"asked\",\"reply\":{\"y\":1}}\n");
  CHECK(server.commands.asked.back().what == "send 2 {\"a\":1} within 2000");
  for (const char* each : {"", "[]", R"({"to":2})", R"({"message":2})", R"({"to":0,"message":2})",
                           R"({"to":1,"message":2,"timeout":5})", R"({"to":1,"message":2,"timeout":"0"})"}) {
    CAPTURE(each);
    CHECK(peer.request("POST /send", each).status == 400);
  }
}

TEST_CASE("control: at the workers' door there are messages and the shared state, and nothing else") {
  const NoLeak no_leak;
  ControlServer server;
  server.control.reset();
  server.settle();
  server.control = std::make_unique<Control>(server.context.get_executor(), server.commands, server.path,
                                             ControlLimits{}, ControlAccess{Door::workers});
  server.commands.on_ask = [](const std::string&, const Done& done) { done({true, "asked"}); };
  ControlPeer peer(server);
  for (const char* each : {"POST /scale?to=2", "POST /reload", "POST /stop", "GET /status", "GET /events"}) {
    CAPTURE(each);
    const ControlAnswer answer = peer.request(each);
    CHECK(answer.status == 403);
    CHECK(answer.message().find("is not for workers") != std::string::npos);
  }
  CHECK(server.commands.asked.empty());
  CHECK(peer.request("GET /").status == 200);
  CHECK(peer.request("PUT /state/a", "1").status == 200);
  CHECK(peer.request("POST /send", R"({"to":"all","message":1})").status == 200);
}

}  // namespace baton::test
