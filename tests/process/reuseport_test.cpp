// Process tests. --policy reuseport: a listener for each worker on one port. The kernel goes on to choose a listener
// whose worker has gone, and nobody may be lost there.
#include <fcntl.h>
#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>

#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/foreign.hpp"
#include "tests/support/harness.hpp"
#include "tests/support/proc.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/traffic.hpp"

using namespace baton::test;

namespace {

std::vector<std::string> reuseport(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--policy", "reuseport"});
  return arguments;
}

Inodes listeners_of(pid_t pid) {
  return common_to(sockets_of(pid), listening_sockets());
}

/// Each of them holds so many listeners.
bool each_holds(const std::vector<pid_t>& pids, std::size_t listeners) {
  const Inodes listening = listening_sockets();
  return std::all_of(pids.begin(), pids.end(),
                     [&](pid_t each) { return common_to(sockets_of(each), listening).size() == listeners; });
}

std::vector<pid_t> living(Baton& baton) {
  return living_children_of(baton.pid());
}

/// Who answered how many of `count` connections, one after another.
std::map<pid_t, int> shares(const std::string& address, int count) {
  std::map<pid_t, int> found;
  for (int i = 0; i < count; ++i) ++found[answering_pid(address)];
  return found;
}

double busiest_to_mean(const std::map<pid_t, int>& shares) {
  int most = 0;
  int all = 0;
  for (const auto& [pid, count] : shares) {
    most = std::max(most, count);
    all += count;
  }
  return most * static_cast<double>(shares.size()) / all;
}

void scale(Baton& baton, unsigned to) {
  const Outcome outcome = run_baton({"scale", std::to_string(to), "--control", baton.control()});
  CAPTURE(to, outcome.output, outcome.errors);
  CHECK(outcome.end == "code 0");
}

/// Whether the kernel moves the queue of a closed listener to the others.
bool queues_migrate() {
  int value = 0;
  std::ifstream("/proc/sys/net/ipv4/tcp_migrate_req") >> value;
  return value != 0;
}

}  // namespace

TEST_CASE("reuseport: every worker gets its share of 800 connections, by the kernel's hash") {
  Baton baton(reuseport({"-w", "8"}));
  baton.workers();
  const auto found = shares(baton.address(), 800);
  CHECK(found.size() == 8);
  // A fair die thrown 800 times: 1.5 is more than five standard deviations off.
  CHECK(busiest_to_mean(found) <= 1.5);
}

TEST_CASE("reuseport: each worker has a listener of its own, and the master none") {
  const std::string address = GENERATE(values<std::string>({"127.0.0.1:0", "[::1]:0"}));
  Baton baton(reuseport({"-w", "4", "-l", address}));
  const std::vector<pid_t> workers = baton.pids();
  const Inodes listening = listening_sockets();
  const Inodes masters = sockets_of(baton.pid());
  CHECK(common_to(masters, listening) == unix_listener(baton.control()));
  CHECK(masters.size() == workers.size() + 4 + 1);  // a channel and a parked listener each, and the control socket
  Inodes all;
  for (const pid_t each : workers) {
    const Inodes its = listeners_of(each);
    CHECK(its.size() == 1);
    all.insert(its.begin(), its.end());
  }
  CHECK(all.size() == 4);
}

TEST_CASE("reuseport: one of 8 workers killed again and again: what it was answering is lost, and nothing else") {
  Baton baton(reuseport({"-w", "8"}));
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  std::size_t cost = 0;
  for (int i = 0; i < programs::rounds(40); ++i) {
    const int number = 1 + i % 8;
    const Worker victim{number, baton.latest()[number]};
    const baton::Fd process = open_pidfd(victim.pid);
    signal_process(process, SIGSTOP);
    REQUIRE(becomes_true([&] { return status_of(victim.pid, "State").starts_with('T'); }));
    cost += sockets_of(victim.pid).size() - 2;  // less its listener and its channel
    signal_process(process, SIGKILL);
    baton.wait_for_successor(victim);
  }
  const Tally tally = fresh.stop();
  CAPTURE(tally, cost);
  CHECK(tally.count(Fate::refused) == 0);
  CHECK(tally.count(Fate::timed_out) == 0);
  CHECK(tally.count(Fate::malformed) == 0);
  CHECK(tally.failed() <= cost);
  CHECK(becomes_true([&] { return each_holds(living(baton), 1); }));
}

TEST_CASE("reuseport: from 2 workers to 8 and back under clients that each make a new connection: none is lost") {
  Baton baton(reuseport({"-w", "2"}));
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh, 16);
  for (const unsigned to : {8U, 3U, 5U, 1U, 8U, 2U}) {
    scale(baton, to);
    fresh.wait_for_answers(200);
  }
  CHECK(becomes_true([&] { return living(baton).size() == 2; }));
  fresh.wait_for_answers(200);
  check_unharmed(fresh);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("reuseport: fewer workers share what the kernel gives to the listeners of those that have gone") {
  Baton baton(reuseport({"-w", "8"}));
  baton.workers();
  scale(baton, 5);
  REQUIRE(becomes_true([&] { return living(baton).size() == 5; }));
  const auto found = shares(baton.address(), 800);
  CHECK(found.size() == 5);
  CHECK(busiest_to_mean(found) <= 1.5);
  CHECK(each_holds(living(baton), 1 + 3));
  scale(baton, 8);
  CHECK(becomes_true([&] { return each_holds(living(baton), 1); }));
  CHECK(shares(baton.address(), 400).size() == 8);
}

TEST_CASE("reuseport: reloads under clients that each make a new connection: none is lost") {
  Baton baton(reuseport({"-w", "4"}));
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  Traffic kept(baton.address(), Connections::kept);
  reload(baton, 5);
  check_unharmed(fresh);
  check_unharmed(kept);
  CHECK(becomes_true([&] { return living(baton).size() == 4 && each_holds(living(baton), 1); }));
  CHECK(shares(baton.address(), 200).size() == 4);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("reuseport: while a worker is waited for that fails again and again, the others answer its clients") {
  Baton baton(reuseport({"-w", "4"}));
  Worker victim = baton.workers().front();
  const auto number = victim.number;
  for (int i = 0; i < 6; ++i) {
    ::kill(victim.pid, SIGABRT);
    victim = baton.wait_for_successor(victim);
  }
  ::kill(victim.pid, SIGABRT);  // the next one comes after 1.6 to 3.2 s
  baton.wait_for_next("a new one starts in");
  for (const auto& [pid, count] : shares(baton.address(), 100)) CHECK(pid != victim.pid);
  CHECK(baton.latest()[number] == victim.pid);  // no successor yet: the others it was
  CHECK(each_holds(living(baton), 2));
  baton.wait_for_successor(victim);
  CHECK(becomes_true([&] { return each_holds(living(baton), 1); }));
}

TEST_CASE("reuseport: all workers killed at once, and their clients wait for the next ones") {
  Baton baton(reuseport({"-w", "4"}));
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  for (int i = 0; i < 5; ++i) {
    const std::map<int, pid_t> victims = baton.latest();
    for (const auto& [number, pid] : victims) ::kill(pid, SIGKILL);
    for (const auto& [number, pid] : victims) baton.wait_for_successor({number, pid});
    fresh.wait_for_answers(100);
  }
  const Tally tally = fresh.stop();
  CAPTURE(tally);
  CHECK(tally.count(Fate::refused) == 0);
  CHECK(tally.count(Fate::timed_out) == 0);
  CHECK(tally.failed() <= 5 * 16);
}

TEST_CASE("reuseport: a worker that starts slowly, or never, keeps no client waiting") {
  const std::string script = fmt::format("[ $BATON_WORKER = 3 ] && exec '{0}' 'never ready'; exec '{0}' 'say ready'",
                                         programs::foreign_worker());
  Baton baton(reuseport({"-w", "2", "--ready", "message", "--", "sh", "-c", script}));
  baton.workers();
  baton.signal(SIGTTIN);
  baton.wait_for("scaling from 2 workers to 3");
  REQUIRE(becomes_true([&] { return living(baton).size() == 3; }));
  CHECK(shares(baton.address(), 100).size() == 2);
  CHECK(baton.latest()[3] == 0);
  baton.signal(SIGTERM);
  CHECK(baton.stop(SIGINT) == "code 0");  // TERM does not end it
}

TEST_CASE("reuseport: a port where another baton listens is refused, though it shares its port, too") {
  Baton baton(reuseport({"-w", "1"}));
  baton.workers();
  const Outcome outcome = run_baton({"-l", baton.address(), "-w", "1", "--policy", "reuseport"});
  CHECK(outcome.end == "code 1");
  CHECK(outcome.errors.find("another process listens there") != std::string::npos);
}

TEST_CASE("reuseport: every worker fails: clients are refused at once, until one is well again") {
  const Directory directory;
  const std::string cure = directory / "cure";
  Baton baton(reuseport({"-w", "3", "--", programs::foreign_worker(), "needs", cure}));
  baton.wait_for("every worker fails: clients are refused until one gets ready");
  CHECK(is_refused(baton.address()));
  write_file(cure, "");
  baton.wait_for(fmt::format("a worker is ready: listening on {} again", baton.address()));
  CHECK(answering_pids(baton.address(), 3).size() == 3);
}

TEST_CASE("reuseport: a listener that a worker shuts down listens again, and only its holders are replaced") {
  Baton baton(reuseport(with_foreign({"-w", "3"}, {"shutdown"})));
  const Worker culprit = baton.workers().front();
  const std::map<int, pid_t> before = baton.latest();
  ::kill(culprit.pid, SIGUSR1);
  baton.wait_for_successor(culprit);
  CHECK(baton.log_has(fmt::format("was shut down by worker {} pid {}; listening again", culprit.number, culprit.pid)));
  for (const auto& [number, pid] : before)
    if (number != culprit.number) CHECK(baton.latest()[number] == pid);
  baton.wait_for(fmt::format("worker {} pid {} has finished", culprit.number, culprit.pid));
  CHECK(shares(baton.address(), 100).size() == 3);
}

TEST_CASE("reuseport: a command's workers can't be made fewer where that would lose clients") {
  Baton baton(reuseport(with_foreign({"-w", "3"}, {"none"})));
  baton.workers();
  baton.signal(SIGTTOU);
  if (queues_migrate()) {
    baton.wait_for("scaled: 2 workers are ready");
    return;
  }
  CHECK(baton.wait_for("not scaled to 2 workers").find("net.ipv4.tcp_migrate_req=1 keeps them") != std::string::npos);
  const Outcome outcome = run_baton({"scale", "1", "--control", baton.control()});
  CHECK(outcome.end == "code 1");
  CHECK((outcome.output + outcome.errors).find("clients would be lost") != std::string::npos);
  CHECK(living(baton).size() == 3);
  scale(baton, 4);
  CHECK(shares(baton.address(), 100).size() == 4);
}

TEST_CASE("reuseport: a command's worker that listens and then fails, again and again") {
  const std::string script =
      fmt::format("[ $BATON_WORKER = 3 ] && exec '{0}' 'exit 3'; exec '{0}' 'say ready'", programs::foreign_worker());
  Baton baton(reuseport({"-w", "3", "--ready", "message", "--", "sh", "-c", script}));
  baton.wait_for("a new one starts in");
  if (queues_migrate()) {  // the others get its clients
    CHECK(shares(baton.address(), 100).size() == 2);
    CHECK_FALSE(baton.log_has("clients whom the kernel sends"));
  } else {  // they wait, and that is said once
    baton.program().wait_for("a new one starts in", 4);
    CHECK(baton.count("clients whom the kernel sends to worker 3 wait for its successor") > 0);
  }
}

TEST_CASE("reuseport: with no worker connections wait in every listener, and one worker answers them all") {
  Baton baton(reuseport({"-w", "4"}));
  baton.workers();
  scale(baton, 0);
  REQUIRE(becomes_true([&] { return living(baton).empty(); }));
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 60; ++i) {
    waiting.push_back(std::make_unique<Connection>(baton.address()));
    waiting.back()->send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  }
  scale(baton, 1);
  std::set<pid_t> pids;
  for (const auto& each : waiting) pids.insert(pid_in(each->read_response()));
  CHECK(pids.size() == 1);
}

TEST_CASE("reuseport: the same where the kernel moves the queues of closed listeners") {
  if (queues_migrate()) return;  // as everything above has shown
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string prepare = "ip link set lo up && echo 1 >/proc/sys/net/ipv4/tcp_migrate_req";
  Program possible({{"unshare", "-rn", "sh", "-c", prepare}, {}, {}, {}});
  if (possible.wait_for_end() != "code 0") {
    WARN("NOT TESTED: no network namespace can be had, or there is no ip command in it");
    return;
  }
  Program program(
      {{"unshare", "-rn", "sh", "-c", prepare + " && exec \"$0\" \"$@\"", self,
        "reuseport: from 2*,reuseport: fewer*,reuseport: a command's*,reuseport: after*,reuseport: with no*,"
        "reuseport: reloads*"},
       {},
       {},
       {}});
  const auto end = program.try_wait_for_end(Deadline(50s));
  CAPTURE(program.output());
  CHECK(end.value_or("it did not end in time") == "code 0");
  CHECK(program.output().find("All tests passed") != std::string::npos);
}

TEST_CASE("reuseport: after 20 rounds of scaling nothing is left over") {
  Baton baton(reuseport({"-w", "2"}));
  baton.workers();
  for (int i = 0; i < programs::rounds(20); ++i) {
    scale(baton, 6);
    scale(baton, 2);
  }
  Baton fresh(reuseport({"-w", "2"}));
  fresh.workers();
  const auto has_more = [](pid_t one, pid_t other, std::size_t by) {
    return becomes_true([&] { return descriptors_of(one).size() == descriptors_of(other).size() + by; });
  };
  const std::size_t left = 4;  // the listeners of those that have gone: parked, and lent
  CHECK(has_more(baton.pid(), fresh.pid(), left));
  for (const pid_t each : baton.pids()) CHECK(has_more(each, fresh.pids().front(), left));
}

TEST_CASE("the policy is fixed, and what a reload brings is judged by the one in force") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  write_file(file, "workers = 2\nlisten = [\"127.0.0.1:0\"]\npolicy = \"reuseport\"\n");
  Baton baton({"-c", file});
  baton.workers();
  SECTION("the old one goes on") {
    write_file(file, "workers = 2\nlisten = [\"127.0.0.1:0\"]\npolicy = \"shared\"\n");
    reload(baton);
    CHECK(baton.log_has("policy: a change of this setting takes effect when baton is started again"));
    CHECK(becomes_true([&] { return living(baton).size() == 2 && each_holds(living(baton), 1); }));
    Inodes all;
    for (const pid_t each : living(baton)) all.merge(listeners_of(each));
    CHECK(all.size() == 2);
  }
  SECTION("it refuses what it can't have") {
    write_file(file, "workers = 2\nlisten = [\"unix:@x\"]\npolicy = \"shared\"\n");
    baton.signal(SIGHUP);
    const std::string line = baton.wait_for("reload refused");
    CHECK(line.find("reuseport is for TCP") != std::string::npos);
    CHECK(line.find("the policy stays reuseport until baton is started again") != std::string::npos);
  }
}
