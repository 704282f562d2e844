// Process tests. Messages to workers that don't read, and what the state file keeps beyond the master's end.
#include <fmt/format.h>
#include <sys/resource.h>

#include <boost/json/parse.hpp>
#include <csignal>
#include <string>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

std::string request_with(const std::string& line, const std::string& body) {
  return fmt::format("{} HTTP/1.1\r\nHost: baton\r\nContent-Length: {}\r\n\r\n{}", line, body.size(), body);
}

/// On a connection that is kept.
Response ask_control(Connection& connection, const std::string& line, const std::string& body = "") {
  REQUIRE(connection.send(request_with(line, body)));
  return connection.read_response();
}

std::string message_of(const Response& response) {
  return std::string(boost::json::parse(response.body).at("message").as_string());
}

}  // namespace

TEST_CASE("when the master is killed, every change that it had answered is in the state file") {
  const Directory directory;
  const std::vector<std::string> arguments{"-w", "1", "--state-file", directory / "state.db"};
  std::int64_t answered = 0;
  {
    Baton baton(arguments);
    const pid_t worker = baton.pids().front();
    Connection connection("unix:" + baton.control());
    for (; answered < 300; ++answered)
      REQUIRE(ask_control(connection, fmt::format("PUT /state/{}", answered), std::to_string(answered)).status == 200);
    // From here on it dies at any moment.
    const std::string all_at_once = request_with("POST /state/sum?add=1", "");
    std::string many;
    for (int i = 0; i < 200; ++i) many += all_at_once;
    connection.send(many);
    for (int i = 0; i < 20; ++i) connection.read_response();
    baton.signal(SIGKILL);
    CHECK(baton.program().wait_for_end() == "signal 9");
    // It ends by itself, and is this process's to reap.
    CHECK(becomes_true([&] {
      const std::string state = exists(worker) ? status_of(worker, "State") : "";
      return state.empty() || state.starts_with('Z');
    }));
  }
  Baton baton(arguments);
  CHECK(baton.wait_for("state of").find("state of 301 keys from") != std::string::npos);
  Connection connection("unix:" + baton.control());
  for (std::int64_t i = 0; i < answered; ++i)
    CHECK(boost::json::parse(ask_control(connection, fmt::format("GET /state/{}", i)).body).at("value") == i);
  CHECK(boost::json::parse(ask_control(connection, "GET /state/sum").body).at("value").as_int64() >= 20);
}

TEST_CASE("the state outlives workers and reloads, and what has a time to live goes by itself") {
  Baton baton({"-w", "2"});
  baton.workers();
  Connection connection("unix:" + baton.control());
  CHECK(ask_control(connection, "PUT /state/a?ttl=300ms", "1").status == 200);
  CHECK(ask_control(connection, "PUT /state/b", "2").status == 200);
  reload(baton);
  CHECK(becomes_true([&] { return ask_control(connection, "GET /state").body.find("\"a\"") == std::string::npos; }));
  CHECK(ask_control(connection, "GET /state/b").status == 200);
}

TEST_CASE("a value is nested as deeply as a worker's channel takes it, for those who watch as well") {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  Baton baton(
      {"-w", "1", "--dialect", "channel", "--", "sh", "-c",
       fmt::format(R"(echo '{{"cmd":"NODE_HANDLE_ACK"}}' >&3; read -r line <&3; read -r line <&3; echo "$line" >&2; )"
                   R"(echo '{{"baton":"put","key":"a","value":{}}}' >&3; exec tail -f /dev/null)",
                   nested(500))});
  baton.workers();
  Connection watching("unix:" + baton.control());
  REQUIRE(watching.send("GET /state?watch=yes HTTP/1.1\r\nHost: baton\r\n\r\n"));
  Connection connection("unix:" + baton.control());
  REQUIRE(
      becomes_true([&] { return ask_control(connection, "POST /send", R"({"to":1,"message":"go"})").status == 200; }));
  REQUIRE(becomes_true([&] { return ask_control(connection, "GET /state/a").status == 200; }));
  CHECK(ask_control(connection, "GET /state/a").body.find(nested(500)) != std::string::npos);
}

TEST_CASE("a worker that does not read is told apart from one that is not there, and what waits for it is bounded") {
  Baton baton({"-w", "1", "--dialect", "channel", "--ready", "message", "--", "tail", "-f", "/dev/null"});
  REQUIRE(becomes_true([&] { return children_of(baton.pid()).size() == 1; }));
  Connection connection("unix:" + baton.control());
  const std::string message = R"({"to":1,"message":")" + std::string(1'000'000, 'x') + "\"}";
  int sent = 0;
  while (ask_control(connection, "POST /send", message).status == 200) REQUIRE(++sent < 20);
  CHECK(sent >= 8);
  CHECK(message_of(ask_control(connection, "POST /send", message)).find("does not read its channel") !=
        std::string::npos);
  CHECK(message_of(ask_control(connection, "POST /send", R"({"to":2,"message":1})")) == "there is no worker 2");
  CHECK(ask_control(connection, "POST /send", R"({"to":1,"message":")" + std::string(1'049'000, 'x') + "\"}").status ==
        413);
}

TEST_CASE("a state file at the limit of its size is broken, and the master goes on") {
  const Directory directory;
  const rlimit small{2'000'000, 2'000'000};
  Baton baton({"-w", "1", "--state-file", directory / "state.db"},
              {{}, {}, [&] { static_cast<void>(::setrlimit(RLIMIT_FSIZE, &small)); }});
  baton.workers();
  Connection connection("unix:" + baton.control());
  int status = 200;
  for (int i = 0; i < 100 && status == 200; ++i)
    status = ask_control(connection, fmt::format("PUT /state/k{}", i), '"' + std::string(60'000, 'x') + '"').status;
  CHECK(status == 503);
  CHECK(ask_control(connection, "GET /state/k0").status == 200);
  CHECK(baton.stop(SIGTERM) == "code 0");
}

TEST_CASE("where files may not even be as long as the scoreboard, that is said with the way out") {
  const rlimit tiny{1000, 1000};
  Program refused(
      {{programs::baton(), "-l", "127.0.0.1:0"}, {}, {}, [&] { static_cast<void>(::setrlimit(RLIMIT_FSIZE, &tiny)); }});
  CHECK(refused.wait_for_end() == "code 1");
  CHECK(refused.errors().find("bytes: file too large (ulimit -f allows less: raise it)\n") != std::string::npos);
}

TEST_CASE("baton's own workers take no messages, and say so, and a state file that is none is refused") {
  Baton baton({"-w", "1"});
  baton.workers();
  Connection connection("unix:" + baton.control());
  const Response response = ask_control(connection, "POST /send", R"({"to":"all","message":1})");
  CHECK(response.status == 409);
  CHECK(message_of(response).find("worker 1 takes no messages: it is baton's own") == 0);
  Program refused({{programs::baton(), "-l", "127.0.0.1:0", "--state-file", "/dev/null"}, {}, {}, {}});
  CHECK(refused.wait_for_end() == "code 1");
  CHECK(refused.errors().find("the state file /dev/null:") != std::string::npos);
}

TEST_CASE("a command's workers have a control socket, and a baton among them makes its own") {
  Baton baton(
      {"-w", "1", "--dialect", "channel", "--ready", "message", "--", "sh", "-c",
       fmt::format("echo \"BATON_CONTROL=$BATON_CONTROL\" >&2; exec '{}' -l 127.0.0.1:0 -w 1", programs::baton())});
  CHECK(baton.wait_for("BATON_CONTROL=").find(fmt::format("BATON_CONTROL={}.workers", baton.control())) !=
        std::string::npos);
  CHECK(baton.wait_for("| ").find("can't") == std::string::npos);
  CHECK(baton.program().read_until([&] { return baton.count("worker 1 pid") > 0 && baton.log_has("listening on"); }));
  baton.program().wait_for("listening on", 2);
}

TEST_CASE("where the workers' control socket can't be made, baton serves without, and says so") {
  const Directory directory;
  std::string path = directory / "control";
  path += std::string(104 - path.size(), 'x');  // the workers' is longer than a socket's path may be
  Baton baton({"-w", "1", "--control", path, "--dialect", "channel", "--ready", "message", "--", "sh", "-c",
               "echo \"BATON_CONTROL=$BATON_CONTROL.\" >&2; exec tail -f /dev/null"});
  CHECK(baton.wait_for("workers have no control socket (BATON_CONTROL): ").find("longer than") != std::string::npos);
  baton.wait_for("BATON_CONTROL=.");
}
