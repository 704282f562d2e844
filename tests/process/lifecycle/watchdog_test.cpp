// Process tests. Workers that live and do nothing: noticed by their silence, killed and replaced.
#include <fmt/format.h>

#include <csignal>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

TEST_CASE("a worker of baton's own that stands still is killed and replaced, while the other serves") {
  Baton baton({"-w", "2", "--hang-timeout", "400ms"});
  const Worker victim = baton.workers().front();
  Traffic traffic(baton.address(), Connections::fresh, 4);
  traffic.wait_for_answers(20);
  ::kill(victim.pid, SIGSTOP);
  const std::string line = baton.wait_for(" has not been heard of for 400 ms and is killed");
  CHECK(line.find(fmt::format(" warning master[{}] worker {} pid {} ", baton.pid(), victim.number, victim.pid)) !=
        std::string::npos);
  const Worker successor = baton.wait_for_successor(victim);
  baton.wait_for(fmt::format("worker {} pid {} was killed by ", victim.number, victim.pid));
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() <= 4);  // whom it was answering
  CHECK(tally.count(Fate::refused) == 0);
  CHECK(tally.pids.contains(successor.pid));
}

TEST_CASE("workers of baton's own that have nothing to do are not taken for hung") {
  Baton baton({"-w", "2", "--hang-timeout", "200ms"});
  const std::vector<pid_t> before = baton.pids();
  CHECK_FALSE(baton.program().read_until([&] { return baton.log_has("warning"); }, Deadline(900ms)));
  Connection resting(baton.address());
  CHECK_FALSE(baton.program().read_until([&] { return baton.log_has("warning"); }, Deadline(300ms)));
}

TEST_CASE("workers are not blamed for the time that their master stood still") {
  Baton baton({"-w", "2", "--hang-timeout", "300ms"});
  baton.workers();
  baton.signal(SIGSTOP);
  CHECK_FALSE(baton.program().read_until([] { return false; }, Deadline(700ms)));
  baton.signal(SIGCONT);
  CHECK_FALSE(baton.program().read_until([&] { return baton.log_has("warning"); }, Deadline(700ms)));
}

TEST_CASE("a command's worker in an endless loop is killed by ABRT, and replaced at once") {
  Baton baton(with_foreign({"-w", "1", "--hang-timeout", "300ms"}, {"loop"}));
  const Worker first = baton.workers().front();
  baton.wait_for(fmt::format("worker 1 pid {} has not been heard of for 300 ms and is killed", first.pid));
  baton.wait_for(fmt::format("worker 1 pid {} was killed by SIGABRT", first.pid));
  baton.wait_for_successor(first);
}

TEST_CASE("a command's worker in an endless loop is nobody's business without --hang-timeout, until the stop") {
  Baton baton(with_foreign({"-w", "1", "--drain-timeout", "200ms"}, {"loop"}));
  baton.workers();
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(baton.log_has(" did not finish within 200 ms and is killed"));
}

TEST_CASE("a command's worker whose signs of life cease is replaced, and one that gives them is not") {
  const Directory directory;
  Baton baton(with_foreign({"-w", "2", "--hang-timeout", "400ms"}, {"watchdog", "5", directory / "ceased"}));
  baton.workers();
  const Worker ceased = worker_in(baton.wait_for(" has not been heard of for 400 ms and is killed"));
  const Worker successor = baton.wait_for_successor(ceased);
  CHECK_FALSE(baton.program().read_until([&] { return baton.count(" has not been heard of ") > 1; }, Deadline(1s)));
  const std::set<pid_t> answering = answering_pids(baton.address(), 2);
  CHECK(answering.contains(successor.pid));
  CHECK_FALSE(answering.contains(ceased.pid));
}

TEST_CASE("a command's worker that says that it hangs is replaced, with and without --hang-timeout") {
  const Directory directory;
  const auto extra = GENERATE(values<std::vector<std::string>>({{}, {"--hang-timeout", "10s"}}));
  std::vector<std::string> arguments{"-w", "1"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  Baton baton(with_foreign(arguments, {"watchdog trigger", directory / "once"}));
  const Worker first = worker_in(baton.wait_for("worker 1 pid "));
  baton.wait_for(fmt::format("worker 1 pid {} was killed by SIGABRT", first.pid));
  const Worker second = baton.wait_for_successor(first);
  CHECK(answering_pid(baton.address()) == second.pid);
  CHECK_FALSE(baton.log_has(" has not been heard of "));  // it has: that is the point
}

TEST_CASE("a worker that hangs while it drains does not hold a reload up for --drain-timeout") {
  Baton baton({"-w", "1", "--hang-timeout", "300ms"});  // 30 s to drain, beyond this test's patience
  const Worker first = baton.workers().front();
  ::kill(first.pid, SIGSTOP);
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: done, 1 worker replaced");
  baton.wait_for(fmt::format("worker 1 pid {} was killed by ", first.pid));
}
