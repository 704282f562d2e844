// Process tests. --policy reuseport with workers that die, fail or break the listener: the kernel goes on to choose it,
// and nobody may be lost there.
#include <fmt/format.h>

#include <csignal>

#include "tests/process/reuseport/reuseport.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

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

TEST_CASE("reuseport: while a worker is waited for that fails again and again, the others answer its clients") {
  Baton baton(reuseport({"-w", "4"}));
  Worker victim = baton.workers().front();
  for (int i = 0; i < 6; ++i) {
    ::kill(victim.pid, SIGABRT);
    victim = baton.wait_for_successor(victim);
  }
  bool was_seen = false;
  // A pause of 1.6 to 3.2 s, then twice as long: who has no CPU for 100 connections within one has it within another.
  for (int i = 0; i < 3 && !was_seen; ++i) {
    ::kill(victim.pid, SIGABRT);
    baton.wait_for_next("a new one starts in");
    const auto answers = shares(baton.address(), 100);
    const bool are_lent = each_holds(living(baton), 2);
    was_seen = living(baton).size() == 3;  // no successor yet: the others it was
    if (was_seen) {
      CHECK_FALSE(answers.contains(victim.pid));
      CHECK(are_lent);
    } else {
      WARN("the worker's next start came before the others had answered its clients");
      victim = baton.wait_for_successor(victim);
    }
  }
  CHECK(was_seen);
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
