// Process tests. When a worker is ready, each of the three signs; and those that never get there.
#include <fmt/format.h>

#include <csignal>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

TEST_CASE("a command's worker is ready by the sign that was chosen") {
  struct Row {
    std::string sign;
    std::string mode;
  };
  const Row row = GENERATE(values<Row>({{"handle", "none"}, {"message", "say ready"}, {"notify", "notify ready"}}));
  CAPTURE(row.sign);
  Baton baton(with_foreign({"-w", "2", "--ready", row.sign}, {row.mode}));
  CHECK(baton.workers().size() == 2);
  const pid_t pid = answering_pid(baton.address());
  CHECK((pid == baton.pids().front() || pid == baton.pids().back()));
  if (row.sign == "notify")
    CHECK(baton.status().at("workers").as_array().at(0).as_object().at("note") == "all is well");
}

TEST_CASE("another sign than the one that was chosen makes nobody ready, and one that is late is stopped") {
  struct Row {
    std::string sign;
    std::string mode;
  };
  const Row row = GENERATE(values<Row>({
      {"handle", "never ready"},
      {"message", "none"},
      {"message", "notify ready"},
      {"notify", "none"},
      {"notify", "say ready"},
  }));
  CAPTURE(row.sign, row.mode);
  Baton baton(with_foreign({"-w", "1", "--ready", row.sign, "--ready-timeout", "200ms"}, {row.mode}));
  const std::string line = baton.wait_for(" was not ready within 200 ms and is stopped");
  CHECK(line.find(" warning master[") != std::string::npos);
  CHECK(line.find("worker 1 pid ") != std::string::npos);
  CHECK(baton.latest().empty());
  // The next one has its turn, and its own time.
  CHECK(worker_in(baton.wait_for_next(" was not ready within 200 ms and is stopped")).pid != worker_in(line).pid);
}

TEST_CASE("one that never gets ready and does not heed TERM is killed") {
  Baton baton({"-w", "1", "--ready", "notify", "--ready-timeout", "200ms", "--drain-timeout", "200ms", "--", "sh", "-c",
               "trap '' TERM; exec tail -f /dev/null"});
  const Worker late = worker_in(baton.wait_for(" was not ready within 200 ms and is stopped"));
  baton.wait_for(fmt::format("worker 1 pid {} was killed by SIGKILL (Killed)", late.pid));
}

TEST_CASE("many that never get ready: never more of them than twice the number that is wanted") {
  Baton baton({"-w", "2", "--ready", "notify", "--ready-timeout", "150ms", "--", "sh", "-c",
               "trap '' TERM; exec tail -f /dev/null"});
  std::size_t most = 0;
  for (int i = 0; i < 5; ++i) {
    baton.wait_for_next(" was not ready within ");
    most = std::max(most, living_children_of(baton.pid()).size());
  }
  CHECK(most <= 4);
  baton.signal(SIGTERM);  // with the default of 30 seconds to finish
  baton.wait_for("stopping: ");
  CHECK(baton.stop(SIGINT) == "code 0");
}

TEST_CASE("a worker that takes its time is waited for, and is none of those that serve till then") {
  Baton baton({"-w", "1", "--ready", "message", "--", "bash", "-c",
               "sleep 0.5; echo '\"ready\"' >&$NODE_CHANNEL_FD; exec tail -f /dev/null"});
  CHECK(baton.status().at("ready").as_int64() == 0);
  CHECK(baton.status().at("workers").as_array().at(0).as_object().at("state") == "starting");
  // It has not taken the listener: the sign alone is not enough, for it could not serve.
  CHECK_FALSE(baton.program().read_until([&] { return !baton.latest().empty(); }, Deadline(800ms)));
}

TEST_CASE("a command's worker that says that it stops has a successor before it goes") {
  Baton baton(with_foreign({"-w", "1"}, {"notify stopping"}));
  const Worker first = baton.workers().front();
  CHECK(
      becomes_true([&] { return baton.status().at("workers").as_array().at(0).as_object().at("note") == "reloads"; }));
  signal_process(open_pidfd(first.pid), SIGUSR1);
  baton.wait_for(fmt::format("worker 1 pid {} says that it stops and is replaced", first.pid));
  CHECK(baton.wait_for_successor(first).pid != first.pid);
  baton.wait_for(fmt::format("worker 1 pid {} has finished", first.pid));
}
