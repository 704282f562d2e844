// Unit tests of the control socket: what is asked for, and what the answer is.
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/control/control_server.hpp"

namespace baton::test {

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
  CHECK(body("PUT /state/%C3%A4", "1") == R"(200 {"version":7})");
  CHECK(body("GET /state?prefix=%C3%A4") == R"(200 {"entries":[{"key":"ä","value":1,"version":7}],"more":false})");
  CHECK(peer.request("GET /state?after=%FF").status == 400);
  CHECK(peer.request("PUT /state/n", "{").error().starts_with("the body is not JSON"));
  CHECK(peer.request("PUT /state/n", "[{\"x\":-1e400}]").status == 400);  // which would be written as -Infinity
  CHECK(peer.request("POST /send", R"({"to":1,"message":1e400})").status == 400);
  CHECK(peer.request("GET /state/n").status == 404);
  CHECK(peer.request("PUT /state/n", '"' + std::string(70'000, 'x') + '"').status == 413);
  CHECK(peer.request("POST /state/n?add=many").error() == "\"many\" is no whole number of 64 bits");
  CHECK(peer.request("GET /state?limit=0").status == 400);
  CHECK(peer.request("PUT /state/n?ttl=0", "1").error() == "a ttl is longer than nothing");
  for (const char* each : {"GET /state/%2", "GET /state?x=1", "GET /state?watch=maybe", "PUT /state/n?version=x",
                           "GET /state?limit=0&limit=1", "DELETE /state/n?ttl=1s"}) {
    CAPTURE(each);
    const ControlAnswer refused = peer.request(each);
    CHECK(refused.status == 400);
    CHECK(refused.code() == "malformed");
    CHECK_FALSE(refused.error().empty());
  }
  CHECK(peer.request("PUT /state/a%FF", "1").error() == "a key is UTF-8");
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
  const auto nested = [](std::size_t levels) {
    return R"({"to":2,"message":)" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  CHECK(peer.request("POST /send", nested(32)).status == 200);
  CHECK(peer.request("POST /send", nested(33)).message() == "the body is not JSON: too deep");
  const auto [code, status] = GENERATE(table<std::string, unsigned>({{"late", 409}, {"too_large", 413}}));
  server.commands.on_ask = [&, code = code](const std::string&, const Done& done) { done({false, "no", {}, code}); };
  const ControlAnswer refused = peer.request("POST /send", R"({"to":2,"message":1})");
  CHECK(refused.status == status);
  CHECK(refused.body == "{\"ok\":false,\"message\":\"no\",\"code\":\"" + code + "\"}\n");
  for (const char* each :
       {"", "[]", R"({"to":2})", R"({"message":2})", R"({"to":0,"message":2})", R"({"to":1,"message":2,"timeout":5})",
        R"({"to":1,"message":2,"timeout":"0"})", R"({"to":1,"message":2,"timout":"1s"})"}) {
    CAPTURE(each);
    CHECK(peer.request("POST /send", each).status == 400);
  }
}

TEST_CASE("control: on the workers' socket there are messages and the shared state, and nothing else") {
  const NoLeak no_leak;
  ControlServer server;
  server.control.reset();
  server.settle();
  server.control = std::make_unique<Control>(server.context.get_executor(), server.commands, server.path,
                                             ControlLimits{}, ControlAccess{Audience::workers});
  server.commands.on_ask = [](const std::string&, const Done& done) { done({true, "asked"}); };
  ControlPeer peer(server);
  for (const char* each : {"POST /scale?to=2", "POST /reload", "POST /stop", "GET /status", "GET /events"}) {
    CAPTURE(each);
    const ControlAnswer answer = peer.request(each);
    CHECK(answer.status == 403);
    CHECK(answer.message().find("is not for workers") != std::string::npos);
  }
  CHECK(server.commands.asked.empty());
  const ControlAnswer table = peer.request("GET /");
  CHECK(table.status == 200);
  CHECK(contains(table.body, "/state/KEY"));
  CHECK_FALSE(contains(table.body, "/scale"));
  CHECK(peer.request("PUT /state/a", "1").status == 200);
  CHECK(peer.request("POST /send", R"({"to":"all","message":1})").status == 200);
}

}  // namespace baton::test
