// Process tests. Workers that have their listeners from the start: by the variables of systemd, Einhorn and
// Server::Starter, or by a number in their arguments.
#include <fmt/format.h>
#include <sys/socket.h>

#include <fcntl.h>

#include <csignal>
#include <cstdlib>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

std::vector<std::string> inheriting(std::vector<std::string> arguments, const std::vector<std::string>& worker,
                                    const std::string& dialect = "listen-fds") {
  arguments.insert(arguments.end(), {"--dialect", dialect, "--", programs::inheriting_worker()});
  arguments.insert(arguments.end(), worker.begin(), worker.end());
  return arguments;
}

/// Of a running process.
std::map<std::string, std::string> environment_of(pid_t pid) {
  std::map<std::string, std::string> found;
  std::istringstream entries(read_file(fmt::format("/proc/{}/environ", pid)));
  for (std::string entry; std::getline(entries, entry, '\0');) {
    const std::size_t equals = entry.find('=');
    found[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return found;
}

}  // namespace

TEST_CASE("by each convention both workers serve, are replaced under load without a loss, scaled and stopped") {
  const std::string convention = GENERATE("listen-fds", "einhorn", "server-starter");
  CAPTURE(convention);
  Baton baton(inheriting({"-w", "2"}, {convention, "epoll"}, convention));
  const auto first = baton.pids();
  CHECK(answering_pids(baton.address(), 2) == std::set<pid_t>(first.begin(), first.end()));
  {
    Traffic traffic(baton.address(), Connections::fresh, 4);
    traffic.wait_for_answers(50);
    signal_process(open_pidfd(first.front()), SIGKILL);
    baton.wait_for_successor({1, first.front()});
    traffic.wait_for_answers(50);
    CHECK(traffic.stop().count(Fate::refused) == 0);
  }
  baton.signal(SIGTTIN);
  baton.wait_for("scaled: 3 workers are ready");
  CHECK(answering_pids(baton.address(), 3).size() == 3);
}

TEST_CASE("a listener that is inherited blocks, unless it is not to") {
  const bool blocks = GENERATE(true, false);
  std::vector<std::string> arguments{"-w", "1", "--dialect", "listen-fds", "--", "tail", "-f", "/dev/null"};
  if (!blocks) arguments.insert(arguments.begin(), "--nonblocking");
  Baton baton(arguments);
  REQUIRE(becomes_true([&] { return children_of(baton.pid()).size() == 1; }));
  const std::string path = fmt::format("/proc/{}/fdinfo/3", *children_of(baton.pid()).begin());
  const std::string facts = read_file(path);
  const long flags = std::strtol(facts.substr(facts.find("flags:") + 6).c_str(), nullptr, 8);
  CHECK(((flags & O_NONBLOCK) == 0) == blocks);
}

TEST_CASE("a worker is ready once it waits for connections, in whatever way") {
  const std::string way = GENERATE("accept", "poll", "select", "epoll", "child");
  CAPTURE(way);
  Baton baton(inheriting({"-w", "1"}, {"listen-fds", way, "lazy"}));
  baton.wait_for(" is lazy");
  CHECK(baton.latest().empty());
  const pid_t worker = living_children_of(baton.pid()).front();
  CHECK(baton.status().at("ready").as_int64() == 0);
  signal_process(open_pidfd(worker), SIGUSR1);
  CHECK(baton.pids() == std::vector<pid_t>{worker});
  const pid_t answering = answering_pid(baton.address());
  CHECK((answering == worker) == (way != "child"));
}

TEST_CASE("a worker that says so is ready before it waits") {
  SECTION("READY=1") {
    Baton baton(inheriting({"-w", "1"}, {"listen-fds", "poll", "notify"}));
    CHECK(baton.workers().size() == 1);
  }
  SECTION("Einhorn's acknowledgement") {
    Baton baton(inheriting({"-w", "1", "--ready", "message"}, {"einhorn", "poll", "ack"}, "einhorn"));
    CHECK(baton.workers().size() == 1);
    const std::string path = environment_of(baton.pids().front()).at("EINHORN_SOCK_PATH");
    CHECK(std::filesystem::exists(path));
    CHECK(baton.stop(SIGTERM) == "code 0");
    CHECK_FALSE(std::filesystem::exists(path));
  }
}

TEST_CASE("with another sign of readiness, to wait for connections is not enough") {
  Baton baton(inheriting({"-w", "1", "--ready", "notify", "--ready-timeout", "300ms"}, {"listen-fds", "epoll"}));
  baton.wait_for(" was not ready within 300 ms and is stopped");
  CHECK(baton.latest().empty());
}

TEST_CASE("the variables say which descriptors are the listeners, by name, and nothing else is inherited") {
  Baton baton(inheriting({"-w", "1", "-l", "127.0.0.1:0", "-l", "api=127.0.0.1:0"}, {"listen-fds", "poll"}),
              {{"NODE_CHANNEL_FD=77", "LISTEN_FDS=9", "LISTEN_PID=1", "EINHORN_FD_COUNT=1", "SERVER_STARTER_PORT=1=5",
                "BATON_CHANNEL_FD=99"},
               {},
               {}});
  const pid_t worker = baton.pids().front();
  auto variables = environment_of(worker);
  CHECK(variables["LISTEN_FDS"] == "2");
  CHECK(variables["LISTEN_FDNAMES"] == "server:api");
  CHECK(variables["LISTEN_PID"].substr(0, variables["LISTEN_PID"].find('\0')) == std::to_string(worker));
  CHECK(variables["BATON_CHANNEL_FD"] == "5");
  CHECK(variables["BATON_WORKER"] == "1");
  for (const char* each : {"NODE_CHANNEL_FD", "EINHORN_FD_COUNT", "SERVER_STARTER_PORT"})
    CHECK_FALSE(variables.contains(each));
  const auto descriptors = descriptors_of(worker);
  CHECK(descriptors.size() == 6);  // the standard streams, two listeners, the channel
  CHECK(descriptors.contains(5));
}

TEST_CASE("Einhorn's and Server::Starter's variables, with a Unix socket among the listeners") {
  const std::string name = abstract_address();
  {
    Baton baton(inheriting({"-w", "1", "-l", "127.0.0.1:0", "-l", name}, {"einhorn", "poll"}, "einhorn"));
    auto variables = environment_of(baton.pids().front());
    CHECK(variables["EINHORN_FD_COUNT"] == "2");
    CHECK(variables["EINHORN_FD_1"] == "4");
    CHECK(variables["EINHORN_FD_FAMILY_0"] == "AF_INET");
    CHECK(variables["EINHORN_FD_FAMILY_1"] == "AF_UNIX");
    CHECK(variables["EINHORN_FDS"] == "3 4");
    CHECK(variables["EINHORN_CHILD_INDEX"] == "0");
    CHECK(variables["EINHORN_MASTER_PID"] == std::to_string(baton.pid()));
  }
  Baton baton(inheriting({"-w", "1", "-l", "127.0.0.1:0", "-l", name}, {"server-starter", "poll"}, "server-starter"));
  auto variables = environment_of(baton.pids().front());
  CHECK(variables["SERVER_STARTER_PORT"] == fmt::format("{}=3;{}=4", baton.address(), name.substr(5)));
  CHECK(variables["SERVER_STARTER_GENERATION"] == "1");
  reload(baton);
  variables = environment_of(baton.latest().at(1));
  CHECK(variables["SERVER_STARTER_GENERATION"] == "2");
}

TEST_CASE("a worker finds the descriptor, the port and its number in its arguments") {
  Baton baton(
      {"-w", "2", "--dialect", "auto", "--", programs::inheriting_worker(), "{fd}", "epoll", "{port}", "{worker}"});
  baton.wait_for("dialect listen-fds, because {fd} stands in the command");
  for (const Worker& each : baton.workers()) {
    const std::string port = baton.address().substr(baton.address().rfind(':') + 1);
    CHECK(command_line(each.pid).find(fmt::format("3 epoll {} {}", port, each.number)) != std::string::npos);
  }
  CHECK(answering_pids(baton.address(), 2).size() == 2);
}

TEST_CASE("each with a listener of its own, where the policy says so") {
  const std::string policy = GENERATE("reuseport", "own-port");
  Baton baton(inheriting({"-w", "3", "--policy", policy}, {"listen-fds", "poll"}));
  std::set<std::uint64_t> all;
  for (const pid_t each : baton.pids()) {
    const Inodes its = common_to(sockets_of(each), listening_sockets());
    CHECK(its.size() == 1);
    all.merge(Inodes(its));
  }
  CHECK(all.size() == 3);
}

TEST_CASE("policies whose master accepts are refused, for nobody takes what they hand over") {
  const std::string policy = GENERATE("roundrobin", "leastconn", "source");
  const Outcome outcome = run_baton({"--policy", policy, "--", "cat"});
  CHECK(outcome.end == "code 2");
  CHECK(outcome.errors.find(policy + " hands connections over by messages") != std::string::npos);
  CHECK(outcome.errors.find("shared, reuseport and own-port") != std::string::npos);
}

TEST_CASE("a command that can't be started is named, though its descriptors have the lowest numbers") {
  const Outcome outcome = run_baton({"-l", "127.0.0.1:0", "-l", "127.0.0.1:0", "--", "/dev/null"});
  CHECK(outcome.end == "code 1");
  CHECK(outcome.errors.find("can't start \"/dev/null\": permission denied") != std::string::npos);
}

TEST_CASE("a worker that is busy with a connection whenever it is looked at is seen to accept all the same") {
  Baton baton(inheriting({"-w", "1"}, {"listen-fds", "accept", "lazy"}));
  baton.wait_for(" is lazy");
  const Connection silent(baton.address());  // it is read from first, and for as long as this says nothing
  signal_process(open_pidfd(living_children_of(baton.pid()).front()), SIGUSR1);
  CHECK(baton.workers().size() == 1);
}

TEST_CASE("workers that all fail from the start, and one day do not") {
  const Directory directory;
  const std::string cure = directory / "cure";
  Baton baton({"-w", "2", "--dialect", "listen-fds", "--", "sh", "-c",
               fmt::format("test -e {} || exit 1; exec {} listen-fds poll", cure, programs::inheriting_worker())});
  baton.wait_for("clients are refused");
  write_file(cure, "");
  CHECK(becomes_true([&] { return baton.status().at("ready") == 2; }));
  CHECK(answering_pids(baton.address(), 2).size() == 2);
}
