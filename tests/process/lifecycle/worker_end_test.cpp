// Process tests. Workers that end unasked: the log says how, and the others serve on. What becomes of their slots is in
// vault_test.cpp and restart_test.cpp.
#include <fmt/format.h>

#include <csignal>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"

using namespace baton::test;

TEST_CASE("a killed worker is named with its end, and the others serve on") {
  Baton baton({"-w", "3"});
  const Worker victim = baton.workers().at(1);
  signal_process(open_pidfd(victim.pid), SIGKILL);
  const std::string line = baton.wait_for("was killed");
  CHECK(
      line.ends_with(fmt::format("warning master[{}] worker {} pid {} was killed by SIGKILL (Killed); a new one starts",
                                 baton.pid(), victim.number, victim.pid)));
  for (int i = 0; i < 30; ++i) CHECK(answering_pid(baton.address()) != victim.pid);
}

TEST_CASE("a killed worker costs its own connections only") {
  Baton baton({"-w", "2"});
  baton.workers();
  const std::string request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
  Connection one(baton.address());
  one.send(request);
  const pid_t victim = pid_in(one.read_response());
  // Idle workers take turns; the second may have said that it is ready and not be waiting yet.
  const Deadline deadline;
  std::unique_ptr<Connection> other;
  pid_t survivor = victim;
  while (survivor == victim && !deadline.has_passed()) {
    other = std::make_unique<Connection>(baton.address());
    other->send(request);
    survivor = pid_in(other->read_response());
  }
  REQUIRE(survivor != victim);
  signal_process(open_pidfd(victim), SIGKILL);
  baton.wait_for("was killed by SIGKILL");
  other->send(request);
  CHECK(pid_in(other->read_response()) == survivor);
}

TEST_CASE("a foreign worker's end is told, be it a code or a signal") {
  struct Row {
    std::string script;
    std::string end;
  };
  const Row row = GENERATE(values<Row>({
      {"exit 3", " exited with code 3"},
      {"exit 0", " exited with code 0"},  // unasked, it is no better than another
      {"kill -ABRT $$", " was killed by SIGABRT (Aborted)"},
      {"kill -SEGV $$", " was killed by SIGSEGV (Segmentation fault)"},
      {"kill -TERM $$", " was killed by SIGTERM (Terminated)"},
  }));
  CAPTURE(row.script);
  Baton baton({"-w", "1", "--", "sh", "-c", row.script});
  const std::string line = baton.wait_for("worker 1 pid ");
  CHECK(line.find(" warning master[") != std::string::npos);
  CHECK(line.ends_with(row.end + "; a new one starts"));
}
