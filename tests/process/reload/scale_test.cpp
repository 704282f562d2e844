// Process tests. More workers and fewer, by TTIN and TTOU, down to none and back.
#include <fmt/format.h>

#include <csignal>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// One signal for each step, and none before the last has been heard: signals of one kind don't queue.
void step(Baton& baton, int signal, int from, int to) {
  for (int at = from; at != to;) {
    const int next = signal == SIGTTIN ? at + 1 : at - 1;
    const std::string line = fmt::format("scaling from {} worker{} to {}", at, at == 1 ? "" : "s", next);
    const std::size_t said = baton.count(line);
    baton.signal(signal);
    baton.program().wait_for(line, said + 1);
    at = next;
  }
}

}  // namespace

TEST_CASE("from 1 worker to 16 and back to 2 under 32 clients that send as fast as they can: no request fails") {
  Baton baton({"-w", "1"});
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  Traffic kept(baton.address(), Connections::kept);
  step(baton, SIGTTIN, 1, 16);
  baton.wait_for("scaled: 16 workers are ready");
  CHECK(living_children_of(baton.pid()).size() == 16);
  CHECK(answering_pids(baton.address(), 16).size() == 16);
  step(baton, SIGTTOU, 16, 2);
  baton.wait_for("scaled: 2 workers are ready");
  CHECK(becomes_true([&] { return living_children_of(baton.pid()).size() == 2; }));
  check_unharmed(fresh);
  check_unharmed(kept);
  CHECK(answering_pids(baton.address(), 2).size() == 2);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("with no worker connections wait, and the next worker answers them") {
  Baton baton({"-w", "1"});
  baton.workers();
  const Worker first = baton.workers().front();
  step(baton, SIGTTOU, 1, 0);
  baton.wait_for("scaled: 0 workers are ready");
  baton.wait_for(fmt::format("worker 1 pid {} has finished", first.pid));
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(std::make_unique<Connection>(baton.address()));
    waiting.back()->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  }
  CHECK_FALSE(waiting.front()->is_readable_within(50));
  CHECK(living_children_of(baton.pid()).empty());
  baton.signal(SIGTTOU);
  baton.program().wait_for("scaling from 0 workers to 0", 1);
  step(baton, SIGTTIN, 0, 1);
  const Worker second = baton.wait_for_successor(first);
  for (const auto& each : waiting) CHECK(pid_in(each->read_response()) == second.pid);
}

TEST_CASE("started with no worker it serves once it is given one, and stops without any") {
  Baton baton({"-w", "0"});
  CHECK(baton.status().at("target").as_int64() == 0);
  Connection waiting(baton.address());
  waiting.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  SECTION("given one") {
    baton.signal(SIGTTIN);
    baton.wait_for("scaled: 1 worker is ready");
    CHECK(pid_in(waiting.read_response()) == baton.latest()[1]);
  }
  SECTION("reloaded") {
    baton.signal(SIGHUP);
    baton.wait_for("reload 1: done, 0 workers replaced");
  }
  CHECK(baton.stop(SIGTERM) == "code 0");
}

TEST_CASE("a number that was changed by signals outlives a reload") {
  Baton baton({"-w", "2"});
  baton.workers();
  step(baton, SIGTTIN, 2, 4);
  baton.wait_for("scaled: 4 workers are ready");
  reload(baton);
  CHECK(baton.log_has("reload 1: done, 4 workers replaced"));
  CHECK(living_children_of(baton.pid()).size() >= 4);
}

TEST_CASE("scaled during a reload, the reload comes to its end with the new number") {
  // Slow to get ready, so that the reload is still under way.
  const std::string script = fmt::format("sleep 0.2; exec '{}' 'say ready'", programs::foreign_worker());
  Baton baton({"-w", "4", "--ready", "message", "--", "sh", "-c", script});
  baton.workers();
  Traffic traffic(baton.address(), Connections::fresh, 8);
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: begins, 4 workers");
  step(baton, SIGTTOU, 4, 1);
  step(baton, SIGTTIN, 1, 3);
  baton.wait_for("reload 1: done, 3 workers replaced");
  baton.wait_for("scaled: 3 workers are ready");
  CHECK(becomes_true([&] { return living_children_of(baton.pid()).size() == 3; }));
  check_unharmed(traffic);
}

TEST_CASE("fewer workers than wanted: those that are too many go only when another serves") {
  Baton baton(with_foreign({"-w", "1"}, {"none"}));
  const Worker first = baton.workers().front();
  Traffic traffic(baton.address(), Connections::fresh, 4);
  for (int i = 0; i < 5; ++i) {
    step(baton, SIGTTIN, 1, 2);
    step(baton, SIGTTOU, 2, 1);
  }
  traffic.wait_for_answers(100);
  check_unharmed(traffic);
  CHECK(baton.latest()[1] == first.pid);
}

TEST_CASE("a worker whose number is taken away is not started again when it dies") {
  Baton baton(with_foreign({"-w", "2"}, {"ignore term"}));
  baton.workers();
  const Worker second{2, baton.latest()[2]};
  step(baton, SIGTTOU, 2, 1);
  baton.wait_for("scaling from 2 workers to 1");
  ::kill(second.pid, SIGKILL);
  baton.wait_for(fmt::format("worker 2 pid {} ", second.pid));
  CHECK(becomes_true([&] { return living_children_of(baton.pid()).size() == 1; }));
  CHECK(baton.latest()[2] == second.pid);
  // The other one is only stopped by force, too.
  baton.signal(SIGTERM);
  baton.wait_for("stopping: ");
  CHECK(baton.stop(SIGINT) == "code 0");
}
