// Process and interop tests. Reads what baton's log says of its addresses and workers.
#include "tests/support/programs/harness.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/endpoint.hpp"
#include "tests/support/programs/programs.hpp"

namespace baton::test {
namespace {

bool says_where(const std::vector<std::string>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [](const std::string& each) {
    return each == "-l" || each == "-p" || each == "-c" || each.starts_with("--listen") || each.starts_with("--port") ||
           each.starts_with("--config");
  });
}

Launch launch_of(std::vector<std::string> arguments, const Baton::Setup& setup) {
  const bool is_in_environment = std::any_of(setup.variables.begin(), setup.variables.end(), [](const auto& each) {
    return each.starts_with("BATON_LISTEN=") || each.starts_with("BATON_PORT=") || each.starts_with("BATON_CONFIG=");
  });
  const auto first_dashes = std::find(arguments.begin(), arguments.end(), "--");
  const bool asks = std::find(arguments.begin(), first_dashes, "node-cluster") != first_dashes;
  if (!asks && !is_in_environment && !says_where({arguments.begin(), first_dashes}))
    arguments.insert(arguments.begin(), {"-l", "127.0.0.1:0"});
  // What most tests' commands speak; baton itself would take them for programs that know systemd's way.
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  const bool has_dialect = std::find(arguments.begin(), dashes, "--dialect") != dashes;
  if (dashes != arguments.end() && !has_dialect) arguments.insert(arguments.begin(), {"--dialect", "channel"});
  arguments.insert(arguments.begin(), programs::baton());
  return {arguments, setup.variables, setup.descriptors, setup.before_exec};
}

/// The part of `line` between `begin` and the next `end`.
std::string between(const std::string& line, std::string_view begin, std::string_view end) {
  const auto from = line.find(begin);
  REQUIRE(from != std::string::npos);
  const auto start = from + begin.size();
  return line.substr(start, line.find(end, start) - start);
}

bool has_sanitizer_report(const std::string& log) {
  return log.find("Sanitizer") != std::string::npos || log.find("runtime error:") != std::string::npos;
}

}  // namespace

Worker worker_in(const std::string& line) {
  return {std::stoi(between(line, "worker ", " ")), std::stoi(between(line, " pid ", " "))};
}

Baton::Baton(std::vector<std::string> arguments, Setup setup) : program_(launch_of(std::move(arguments), setup)) {
  const std::string banner = program_.wait_for(" · listening ");
  announced_ = std::stoul(banner.substr(banner.rfind("· ") + std::string_view("· ").size()));
  if (banner.find("listening where ") != std::string::npos) return;
  std::string all = between(banner, "listening on ", " · ");
  for (auto comma = all.find(", "); comma != std::string::npos; comma = all.find(", ")) {
    addresses_.push_back(all.substr(0, comma));
    all.erase(0, comma + 2);
  }
  addresses_.push_back(all);
}

Baton::~Baton() {
  const bool is_failing = std::uncaught_exceptions() > 0;
  if (!program_.has_ended() && !is_failing) {
    program_.signal(SIGTERM);
    const auto end = program_.try_wait_for_end(Deadline());
    CHECK(end.value_or("it did not stop in time") == "code 0");
  }
  const bool ended = program_.has_ended();
  if (!ended) {
    program_.kill_group();
    static_cast<void>(program_.try_wait_for_end(Deadline()));
  }
  const std::vector<std::string> left = strays();
  if (is_failing) return;
  if (ended) CHECK(left == std::vector<std::string>{});
  CHECK_FALSE(has_sanitizer_report(program_.errors()));
}

const std::vector<Worker>& Baton::workers() {
  if (!workers_.empty()) return workers_;
  // "listening" has no such end, nor has a worker's own line; what a command writes may.
  const auto ready = [&] {
    std::vector<std::string> lines = program_.lines_with(" ready");
    std::erase_if(lines, [](const std::string& line) { return line.find(" | ") != std::string::npos; });
    return lines;
  };
  const bool came = program_.read_until([&] { return ready().size() >= announced_; });
  if (!came) FAIL(ready().size() << " of " << announced_ << " workers are ready");
  for (const std::string& line : ready())
    if (workers_.size() < announced_) workers_.push_back(worker_in(line));
  return workers_;
}

std::vector<pid_t> Baton::pids() {
  std::vector<pid_t> pids;
  for (const Worker& each : workers()) pids.push_back(each.pid);
  return pids;
}

std::map<int, pid_t> Baton::latest() const {
  std::map<int, pid_t> found;
  for (const std::string& line : program_.lines_with(" ready")) {
    const auto at = line.find("] worker ");
    Worker worker;
    const bool is_ready = line.ends_with(" ready") || line.find(" ready on ") != std::string::npos;
    if (is_ready && at != std::string::npos &&
        std::sscanf(line.c_str() + at, "] worker %d pid %d ready", &worker.number, &worker.pid) == 2)
      found[worker.number] = worker.pid;
  }
  return found;
}

Worker Baton::wait_for_successor(const Worker& predecessor) {
  const auto current = [&] { return latest()[predecessor.number]; };
  const bool came = program_.read_until([&] { return current() != 0 && current() != predecessor.pid; });
  if (!came) FAIL("no successor of worker " << predecessor.number << " pid " << predecessor.pid);
  return {predecessor.number, current()};
}

boost::json::object Baton::status() const {
  Connection connection("unix:" + control());
  connection.send("GET /status HTTP/1.1\r\nHost: baton\r\nConnection: close\r\n\r\n");
  const Response response = connection.read_response();
  REQUIRE(response.status == 200);
  const boost::json::value value = boost::json::parse(response.body);
  return value.as_object();
}

std::string Baton::control() const {
  // Without an address of its own it is started with a name by the test.
  std::string name = addresses_.empty() ? "asked" : address();
  std::replace(name.begin(), name.end(), '/', '_');
  return fmt::format("{}/baton/{}.sock", runtime_directory(), name);
}

std::string Baton::wait_for_next(std::string_view part, std::size_t more) {
  return program_.wait_for(part, count(part) + more).back();
}

std::string Baton::stop(int number) {
  signal(number);
  return program_.wait_for_end();
}

void reload(Baton& baton, int count) {
  for (int i = 0; i < count; ++i) {
    const std::size_t done = baton.count(": done, ");
    baton.signal(SIGHUP);
    const auto is_done = [&] { return baton.count(": done, ") > done; };
    for (std::size_t ready = baton.count(" ready"); !is_done(); ready = baton.count(" ready")) {
      const bool went_on = baton.program().read_until([&] { return is_done() || baton.count(" ready") > ready; });
      if (!went_on) FAIL("the reload neither ends nor goes on");
    }
  }
}

std::string abstract_address() {
  return fmt::format("unix:@baton-test-{}", ::getpid());
}

bool is_refused(const std::string& address) {
  const Endpoint endpoint = endpoint_of(address);
  const Fd socket = socket_for(endpoint);
  if (::connect(socket.get(), endpoint.get(), endpoint.size) == 0) return false;
  return errno == ECONNREFUSED || errno == ENOENT;
}

Outcome run_baton(const std::vector<std::string>& arguments, const std::vector<std::string>& variables) {
  Launch launch{{programs::baton()}, variables, {}, {}};
  launch.command.insert(launch.command.end(), arguments.begin(), arguments.end());
  Program program(launch);
  std::string end = program.wait_for_end();
  const std::vector<std::string> left = strays();
  CHECK(left == std::vector<std::string>{});
  return {end, program.output(), program.errors()};
}

}  // namespace baton::test
