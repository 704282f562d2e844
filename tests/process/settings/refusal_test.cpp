// Process tests. What baton refuses: in one line on standard error that names the thing, with code 2 for what the user
// wrote wrong, and 1 for what can't be had.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

namespace {

/// `named` are the words without which the line is of no use.
void check_refused(const std::string& end, const std::vector<std::string>& arguments,
                   const std::vector<std::string>& named, const std::vector<std::string>& variables = {}) {
  CAPTURE(arguments, variables);
  const Outcome outcome = run_baton(arguments, variables);
  CHECK(outcome.end == end);
  CHECK(outcome.output.empty());
  CHECK(split_lines(outcome.errors).size() == 1);
  for (const std::string& each : named) {
    CAPTURE(each, outcome.errors);
    CHECK(outcome.errors.find(each) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("wrong flags and values are named, and end it with code 2") {
  struct Row {
    std::vector<std::string> arguments;
    std::vector<std::string> named;
  };
  const std::vector<Row> rows{
      {{"--wokers", "2"}, {"--wokers", "--workers"}},
      {{"--nothing-like-it"}, {"--nothing-like-it"}},
      {{"-x"}, {"-x"}},
      {{"node", "worker.js"}, {"node", "--"}},
      {{"--"}, {"--"}},
      {{"-w"}, {"--workers"}},
      {{"-w", "-1"}, {"--workers"}},
      {{"-w", "many"}, {"--workers", "many", "auto"}},
      {{"-w", "4097"}, {"--workers", "4097", "4096"}},
      {{"-w", ""}, {"--workers"}},
      {{"-p", "65536"}, {"--port", "65536"}},
      {{"-p", "http"}, {"--port", "http"}},
      {{"-p", "-1"}, {"--port"}},
      {{"-l", ""}, {"--listen"}},
      {{"-l", "localhost:80"}, {"--listen", "localhost", "127.0.0.1"}},
      {{"-l", "127.0.0.1:http"}, {"--listen", "http"}},
      {{"-l", "127.0.0.1:99999"}, {"--listen", "99999"}},
      {{"-l", "::1:80"}, {"--listen", "::1:80"}},
      {{"-l", "[::1:80"}, {"--listen"}},
      {{"-l", "[127.0.0.1]:80"}, {"--listen"}},
      {{"-l", "unix:"}, {"--listen", "unix:"}},
      {{"-l", "unix:/x?mode=9"}, {"--listen", "mode"}},
      {{"-l", "unix:/x?made=0660"}, {"--listen", "mode="}},
      {{"-l", "unix:/" + std::string(200, 'x')}, {"--listen", "longer"}},
      {{"-l", "127.0.0.1:0", "-l", "nonsense"}, {"--listen", "nonsense"}},
      {{"-l", "127.0.0.1:1", "-l", "127.0.0.1:1"}, {"--listen", "127.0.0.1:1", "twice"}},
      {{"--backlog", "0"}, {"--backlog"}},
      {{"--backlog", "lots"}, {"--backlog", "lots"}},
      {{"--drain-timeout", "soon"}, {"--drain-timeout", "soon"}},
      {{"--ready", "soon", "--", "true"}, {"--ready", "soon", "notify"}},
      {{"--ready", "handle"}, {"--ready", "message"}},
      {{"--ready-timeout", "0"}, {"--ready-timeout"}},
      {{"--hang-timeout", "5x"}, {"--hang-timeout", "5x"}},
      {{"--max-lifetime", "long"}, {"--max-lifetime", "long"}},
      {{"--max-memory", "much"}, {"--max-memory", "much"}},
      {{"--max-requests", "-1"}, {"--max-requests"}},
      {{"--max-requests", "5", "--", "true"}, {"--max-requests", "--max-lifetime"}},
      {{"--surge", "0"}, {"--surge"}},
      {{"--name", "a/b"}, {"--name", "a/b"}},
      {{"-l", "a=127.0.0.1:0", "-l", "a=127.0.0.1:0"}, {"--listen", "named a"}},
      {{"--header-timeout", "0"}, {"--header-timeout"}},
      {{"--body-timeout", "5x"}, {"--body-timeout", "5x"}},
      {{"--idle-timeout", ""}, {"--idle-timeout"}},
      {{"--max-header", "1"}, {"--max-header"}},
      {{"--max-body", "big"}, {"--max-body", "big"}},
      {{"--max-connections", "0"}, {"--max-connections"}},
      {{"--log-level", "loud"}, {"--log-level", "loud", "debug"}},
      {{"--log-format", "xml"}, {"--log-format", "xml", "json"}},
      {{"--dialect", "klingon"}, {"--dialect", "klingon", "channel"}},
      {{"-c", "/nonexistent.toml"}, {"--config", "/nonexistent.toml"}},
      {{"-c", "/"}, {"--config", "directory"}},
      {{"worker", "--nonsense"}, {"baton worker", "--nonsense"}},
      {{"worker", "--max-header", "x"}, {"baton worker", "--max-header"}},
  };
  for (const Row& each : rows) check_refused("code 2", each.arguments, each.named);
}

TEST_CASE("wrong variables are named, and end it with code 2") {
  check_refused("code 2", {}, {"BATON_WORKERS", "few"}, {"BATON_WORKERS=few"});
  check_refused("code 2", {}, {"BATON_LISTEN", "nowhere"}, {"BATON_LISTEN=127.0.0.1:0,nowhere"});
  check_refused("code 2", {}, {"BATON_IDLE_TIMEOUT", "5x"}, {"BATON_IDLE_TIMEOUT=5x"});
  check_refused("code 2", {}, {"/nonexistent.toml"}, {"BATON_CONFIG=/nonexistent.toml"});
}

TEST_CASE("a wrong file is named with what is wrong in it, and ends it with code 2") {
  struct Row {
    std::string text;
    std::vector<std::string> named;
  };
  const std::vector<Row> rows{
      {"workers = few\n", {"workers", "few"}},
      {"wokers = 2\n", {"wokers", "workers"}},
      {"[section]\nworkers = 2\n", {"section"}},
      {"listen = [\"127.0.0.1:0\", \"nowhere\"]\n", {"listen", "nowhere"}},
      {"config = \"other.toml\"\n", {"config"}},
      {"= 5\n", {}},
      {"workers\n", {"workers"}},
  };
  const Directory directory;
  const std::string file = directory / "baton.toml";
  for (const Row& each : rows) {
    write_file(file, each.text);
    std::vector<std::string> named = each.named;
    named.push_back(file);
    CAPTURE(each.text);
    check_refused("code 2", {"-c", file, "-p", "0"}, named);
  }
}

TEST_CASE("an address that is taken, or not this machine's, ends it with code 1") {
  Baton first({"-w", "1"});
  check_refused("code 1", {"-w", "1", "-l", first.address()}, {first.address(), "in use"});
  check_refused("code 1", {"-w", "1", "-l", "127.0.0.1:0", "-l", first.address()}, {first.address(), "in use"});
  check_refused("code 1", {"-w", "1", "-l", "192.0.2.1:0"}, {"192.0.2.1"});
}

TEST_CASE("a Unix socket that can't be had ends it with code 1, and what is there stays") {
  const Directory directory;
  const std::string socket = directory / "x.sock";
  Baton first({"-w", "1", "-l", "unix:" + socket});
  check_refused("code 1", {"-w", "1", "-l", "unix:" + socket}, {socket});
  answering_pid(first.address());

  const std::string file = directory / "a file";
  write_file(file, "precious");
  check_refused("code 1", {"-w", "1", "-l", "unix:" + file}, {file, "not a socket"});
  CHECK(read_file(file) == "precious");
  const std::string nowhere = directory / "no/x.sock";
  check_refused("code 1", {"-w", "1", "-l", "unix:" + nowhere}, {nowhere, "directory"});

  // When the second of two can't be had, the first one's file must not stay.
  const std::string other = directory / "y.sock";
  check_refused("code 1", {"-w", "1", "-l", "unix:" + other, "-l", "unix:" + socket}, {socket});
  CHECK_FALSE(std::filesystem::exists(other));
}

TEST_CASE("a command that can't be run ends it with code 1") {
  const Directory directory;
  const std::string script = directory / "script";
  write_file(script, "echo hello\n");
  const std::string socket = directory / "x.sock";
  const std::string pid_file = directory / "x.pid";
  const auto refuse = [&](const std::string& command, const std::vector<std::string>& named) {
    check_refused("code 1", {"-w", "2", "-l", "unix:" + socket, "--pid-file", pid_file, "--", command}, named);
    CHECK_FALSE(std::filesystem::exists(socket));
    CHECK_FALSE(std::filesystem::exists(pid_file));
  };
  refuse("no-such-program-anywhere", {"no-such-program-anywhere", "PATH"});
  refuse("/nonexistent/program", {"/nonexistent/program", "no such file"});
  refuse(script, {script, "permission denied"});
  ::chmod(script.c_str(), 0755);
  refuse(script, {script, "#!"});
  refuse("", {"can't start"});
}

TEST_CASE("a pid file that another baton holds, or that can't be written, ends it with code 1") {
  const Directory directory;
  const std::string pid_file = directory / "x.pid";
  Baton first({"-w", "1", "--pid-file", pid_file});
  check_refused("code 1", {"-w", "1", "-l", "127.0.0.1:0", "--pid-file", pid_file},
                {pid_file, std::to_string(first.pid())});
  CHECK(read_file(pid_file) == fmt::format("{}\n", first.pid()));
  check_refused("code 1", {"-w", "1", "-l", "127.0.0.1:0", "--pid-file", directory / "no/x.pid"}, {"no/x.pid"});
  check_refused("code 1", {"-w", "1", "-l", "127.0.0.1:0", "--pid-file", "/"}, {"pid file"});
}

TEST_CASE("a pid file that a dead baton left is taken over") {
  const Directory directory;
  const std::string pid_file = directory / "x.pid";
  {
    Baton killed({"-w", "1", "--pid-file", pid_file, "--log-level", "debug"});
    const baton::Fd worker = open_pidfd(killed.pids().front());
    killed.stop(SIGKILL);
    CHECK(has_ended(worker));
  }
  REQUIRE(std::filesystem::exists(pid_file));
  Baton baton({"-w", "1", "--pid-file", pid_file});
  CHECK(read_file(pid_file) == fmt::format("{}\n", baton.pid()));
}
