// Interop tests. `baton doctor` with real programs that are well, from docs/recipes.md, and with one that is broken in
// one way at a time.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <csignal>
#include <map>
#include <string>
#include <vector>

#include "tests/interop/peer.hpp"
#include "tests/interop/recipes/recipe.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/ports.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

using Words = std::vector<std::string>;
using Verdicts = std::map<std::string, std::string>;

constexpr auto patience_with_doctor = std::chrono::seconds(120);

/// The doctor's report, which must have come out at all.
struct Examined {
  Examined(const Words& arguments, const std::string& directory) {
    Words command{programs::baton(), "doctor", "--json"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    Program doctor({command, {}, {}, [directory] { static_cast<void>(::chdir(directory.c_str())); }});
    end = doctor.try_wait_for_end(Deadline(patience_with_doctor)).value_or("it did not end");
    text = doctor.output();
    INFO(text << doctor.errors());
    CHECK(doctor.errors().empty());
    CHECK(strays().empty());
    REQUIRE(text.ends_with('\n'));
    report = boost::json::parse(text).as_object();
    for (const auto& each : report.at("checks").as_array()) {
      const auto& check = each.as_object();
      verdicts[check.at("check").as_string().c_str()] = check.at("verdict").as_string().c_str();
      CHECK_FALSE(check.at("seen").as_string().empty());
      CHECK((check.at("verdict").as_string() == "failed") == check.contains("way_out"));
    }
  }

  [[nodiscard]] std::string seen(const std::string& name) const {
    for (const auto& each : report.at("checks").as_array())
      if (each.at("check").as_string() == name) return each.at("seen").as_string().c_str();
    return {};
  }
  [[nodiscard]] Words with_verdict(const std::string& verdict) const {
    Words names;
    for (const auto& [name, found] : verdicts)
      if (found == verdict) names.push_back(name);
    return names;
  }

  std::string end;
  std::string text;
  boost::json::object report;
  Verdicts verdicts;
};

void is_well(const std::string& title, const Words& skipped, const std::string& port = "1337") {
  CAPTURE(title);
  const Recipe recipe = recipe_named(title, port);
  if (!is_installed(recipe.program())) return;
  const Directory directory;
  write_files(recipe, directory);
  const Examined examined(recipe.arguments, directory / "");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed").empty());
  CHECK(examined.with_verdict("skipped") == skipped);
  CHECK(examined.verdicts.size() == 9);
  CHECK(examined.report.at("healthy").as_bool());
  CHECK(examined.end == "code 0");
}

Examined examine_broken(const std::string& broken) {
  const Directory directory;
  return Examined({"--ready-timeout", "5s", "--drain-timeout", "5s", "--", "/usr/bin/python3",
                   script("doctor/broken_worker.py"), broken},
                  directory / "");
}

/// In that one thing; `seen` is a part of what was seen of it.
void is_broken(const std::string& broken, const std::string& check, const std::string& seen) {
  CAPTURE(broken);
  const Examined examined = examine_broken(broken);
  INFO(examined.text);
  CHECK(examined.with_verdict("failed") == Words{check});
  CHECK(examined.seen(check).find(seen) != std::string::npos);
  CHECK_FALSE(examined.report.at("healthy").as_bool());
  CHECK(examined.end == "code 1");
}

}  // namespace

TEST_CASE("doctor: gunicorn is well") {
  is_well("gunicorn", {"channel"});
}
TEST_CASE("doctor: uvicorn is well where it accepts no more before it stops") {
  is_well("uvicorn, without a reset", {"channel"});
}
TEST_CASE("doctor: Puma is well where it is handed nobody who has not spoken") {
  is_well("Puma", {"channel"}, std::to_string(free_ports(1)));
}
TEST_CASE("doctor: Puma drops whom it has not heard, and is told of --defer-accept", "[alone]") {
  Recipe recipe = recipe_named("Puma", std::to_string(free_ports(1)));
  if (!is_installed(recipe.program())) return;
  const auto flag = std::find(recipe.arguments.begin(), recipe.arguments.end(), "--defer-accept");
  REQUIRE(flag != recipe.arguments.end());
  recipe.arguments.erase(flag, flag + 2);
  const Directory directory;
  write_files(recipe, directory);
  const Examined examined(recipe.arguments, directory / "");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed") == Words{"drains"});
  CHECK(examined.seen("drains").find("of those who speak 50ms late ") != std::string::npos);
  CHECK(examined.text.find("--defer-accept 10s") != std::string::npos);
  CHECK(examined.end == "code 1");
}
TEST_CASE("doctor: under reuseport a program that is well is not asked for what baton refuses") {
  const Recipe recipe = recipe_named("Python, without a framework", "1337");
  const Directory directory;
  write_files(recipe, directory);
  Words arguments{"--policy", "reuseport"};
  arguments.insert(arguments.end(), recipe.arguments.begin(), recipe.arguments.end());
  const Examined examined(arguments, directory / "");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed").empty());
  CHECK(examined.end == "code 0");
}
TEST_CASE("doctor: Python without a framework is well") {
  is_well("Python, without a framework", {"channel"});
}
TEST_CASE("doctor: a Node program that listens is well") {
  is_well("Node", {});
}
TEST_CASE("doctor: a Node program over child_process is well") {
  is_well("Node, over child_process", {});
}

TEST_CASE("doctor: the program that the broken ones are made of is well") {
  const Examined examined = examine_broken("nothing");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed").empty());
  CHECK(examined.with_verdict("skipped") == Words{"channel"});
  CHECK(examined.end == "code 0");
}

TEST_CASE("doctor: a worker that says much when its sibling is ready is well") {
  const Directory directory;
  const Examined examined(
      {"--", "/bin/sh", "-c", "[ $BATON_WORKER = 1 ] || seq 100000 >&2; exec /usr/bin/python3 \"$0\" nothing",
       script("doctor/broken_worker.py")},
      directory / "");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed").empty());
  CHECK(examined.end == "code 0");
}

TEST_CASE("doctor: children that its process had before are left alone") {
  const Directory directory;
  const std::string file = directory / "pid";
  Program doctor({{"/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $! >\"$0\"; exec \"$@\"", file,
                   programs::baton(), "doctor", "--timeout", "1s", "--", "/bin/sh", "-c", "exec tail -f /dev/null"},
                  {},
                  {},
                  {}});
  CHECK(doctor.try_wait_for_end(Deadline(patience_with_doctor)) == "code 1");
  const auto before = static_cast<pid_t>(std::stol(read_file(file)));
  CHECK(status_of(before, "State").starts_with("S"));
  CHECK(::kill(before, SIGKILL) == 0);
}

TEST_CASE("doctor: killed, it takes the examined baton along") {
  const Directory directory;
  Program doctor({{programs::baton(), "doctor", "--", "/bin/sh", "-c", "exec tail -f /dev/null"},
                  {"TMPDIR=" + (directory / "")},
                  {},
                  {}});
  std::vector<pid_t> all;
  REQUIRE(becomes_true([&] {
    all = living_children_of(doctor.pid());
    if (all.size() != 1) return false;
    const std::vector<pid_t> workers = living_children_of(all.front());
    all.insert(all.end(), workers.begin(), workers.end());
    return workers.size() == 2;
  }));
  doctor.signal(SIGKILL);
  CHECK(doctor.wait_for_end() == "signal 9");
  CHECK(becomes_true([&] { return std::all_of(all.begin(), all.end(), is_dying); }));
}

TEST_CASE("doctor: a worker that never gets ready") {
  is_broken("never-ready", "ready", "not within 5000 ms");
}
TEST_CASE("doctor: a worker that closes its listener") {
  is_broken("closes", "listener", "0 of 2");
}
TEST_CASE("doctor: a worker that leaks a descriptor with each request") {
  is_broken("leaks", "descriptors", " × /dev/null");
}
TEST_CASE("doctor: a worker that closes its listener after a while") {
  is_broken("lets-go", "descriptors", "a worker has closed the listener: 1 of 2 workers hold it now");
}
TEST_CASE("doctor: a worker that closes its listener, or ends, early") {
  is_broken("lets-go-early", "shares", "a worker has closed the listener: 1 of 2 workers hold it now");
  is_broken("ends-early", "shares", "a worker ended while it was asked");
}
TEST_CASE("doctor: a worker that ends while it is asked") {
  is_broken("ends", "descriptors", "a worker ended while it was asked");
}
TEST_CASE("doctor: a worker that ends at once on TERM") {
  is_broken("resets", "drains", "cut off");
}
TEST_CASE("doctor: a worker that leaves a grandchild") {
  is_broken("leaves", "descendants", "(sleep 1000)");
}
TEST_CASE("doctor: a worker that does not stop") {
  is_broken("stays", "stops", "not within 5000 ms");
}
TEST_CASE("doctor: a worker that leaves everything to its sibling") {
  is_broken("takes-nothing", "shares", " and 0");
}

TEST_CASE("doctor: a worker that outlives its master's channel") {
  const Directory directory;
  write_file(directory / "worker.js", R"(
    const http = require('node:http');
    const server = http.createServer((request, response) => response.end('x'));
    process.on('message', (message, listener) => {
      if (message !== 'server') return;
      server.listen(listener);
      process.on('SIGTERM', () => server.close(() => process.exit()));
    });
    setInterval(() => {}, 1000);)");
  const Examined examined({"--dialect", "channel", "--", "node", "worker.js"}, directory / "");
  INFO(examined.text);
  CHECK(examined.verdicts.at("channel") == "failed");
}

TEST_CASE("doctor: a program that is no HTTP server is examined by its connections") {
  const Directory directory;
  write_file(directory / "time.js",
             "require('node:net').createServer((socket) => socket.resume().end()).listen(1337);");
  const Examined examined({"--", "node", "time.js"}, directory / "");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed").empty());
  CHECK(examined.seen("answers").find("no HTTP server") != std::string::npos);
}

TEST_CASE("doctor: a program that ends at once is told from one that is not ready") {
  const Directory directory;
  const Examined examined({"--", "sh", "-c", "echo no way >&2; exit 3"}, directory / "");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed") == Words{"ready"});
  CHECK(examined.seen("ready").find("no way") != std::string::npos);
  CHECK(examined.seen("ready").find("exited with code 3") != std::string::npos);
  CHECK(examined.end == "code 1");
}

TEST_CASE("doctor: what is broken off has failed, and what nobody came to is skipped") {
  const Directory directory;
  const Examined examined({"--timeout", "1s", "--", "sleep", "1000"}, directory / "");
  INFO(examined.text);
  CHECK(examined.with_verdict("failed") == Words{"ready"});
  CHECK(examined.seen("answers").find("--timeout") != std::string::npos);
  CHECK(examined.end == "code 1");
}

TEST_CASE("doctor: wrong usage, and what can't be run") {
  const auto [arguments, end, error] = GENERATE(table<Words, std::string, std::string>({
      {{"doctor"}, "code 2", "baton: the command is missing (usage: baton doctor [flags] -- command args…)\n"},
      {{"doctor", "--"}, "code 2", "baton: the command is missing (usage: baton doctor [flags] -- command args…)\n"},
      {{"doctor", "--jsno", "--", "sleep", "1"}, "code 2", "baton: unknown flag --jsno"},
      {{"doctor", "--path", "x", "--", "sleep", "1"}, "code 2", "baton: --path: \"x\" is no path of a request"},
      {{"doctor", "--dialect", "telepathy", "--", "sleep", "1"}, "code 2", "baton: --dialect: "},
      {{"doctor", "-l", "unix:/x", "--", "sleep", "1"}, "code 2", "baton: --listen: unix:/x can't be examined"},
      {{"doctor", "--policy", "own-port", "--", "sleep", "1"}, "code 2", "baton: --policy: own-port has nothing to"},
      {{"doctor", "--policy", "roundrobin", "--", "sleep", "1"}, "code 2", "baton: --policy: "},
      {{"doctor", "--", "no-such-program"}, "code 3", "baton doctor: can't start \"no-such-program\": "},
      {{"doctor", "-l", "192.0.2.1:80", "--", "sleep", "1"}, "code 3", "baton doctor: can't listen on 192.0.2.1:80: "},
  }));
  const Outcome outcome = run_baton(arguments);
  CHECK(outcome.end == end);
  CHECK(outcome.output.empty());
  CHECK(outcome.errors.starts_with(error));
}

TEST_CASE("doctor: interrupted, it leaves nothing behind") {
  const auto [signal, end] = GENERATE(table<int, std::string>({{SIGINT, "code 130"}, {SIGTERM, "code 143"}}));
  const Directory directory;
  Program doctor({{programs::baton(), "doctor", "--", "sh", "-c", "touch begun; exec sleep 1000"},
                  {"TMPDIR=" + (directory / "")},
                  {},
                  [&] { static_cast<void>(::chdir((directory / "").c_str())); }});
  REQUIRE(becomes_true([&] { return std::filesystem::exists(directory / "begun"); }));
  doctor.signal(signal);
  CHECK(doctor.wait_for_end() == end);
  CHECK(strays().empty());
  std::filesystem::remove(directory / "begun");
  CHECK(std::filesystem::is_empty(directory / ""));
}

TEST_CASE("doctor: the master's end in the middle is a finding, and the others stay") {
  const Directory directory;
  write_file(directory / "worker.py", R"(
import contextlib, os, signal, socket
master = os.getppid()
server = socket.socket(fileno=3)
while True:
    connection, _ = server.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    connection.close()
    if os.path.exists("second"):
        with contextlib.suppress(ProcessLookupError): os.kill(master, signal.SIGKILL)
    open("second", "w")
)");
  const Examined examined({"--", "/usr/bin/python3", "worker.py"}, directory / "");
  INFO(examined.text);
  CHECK(examined.verdicts.at("answers") == "ok");
  CHECK(examined.with_verdict("failed").size() == 1);
  CHECK(examined.end == "code 1");
}

TEST_CASE("doctor: in words") {
  const Outcome outcome = run_baton({"doctor", "--ready-timeout", "1s", "--", "sleep", "1000"});
  CHECK(outcome.end == "code 1");
  CHECK(outcome.output.starts_with("sleep 1000\n  dialect listen-fds, because "));
  CHECK(outcome.output.find("\n  ok       takes the listener     2 of 2 workers hold it\n") != std::string::npos);
  CHECK(outcome.output.find("\n  failed   gets ready             not within 1000 ms") != std::string::npos);
  CHECK(outcome.output.find(" way out: accept, poll or epoll the listener") != std::string::npos);
  CHECK(outcome.output.ends_with("\n1 ok, 1 failed, 7 skipped\n"));
}
