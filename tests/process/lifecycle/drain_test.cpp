// Process tests. The end of a worker that has a successor: what it has begun it finishes, and those who wait get there.
#include <fmt/format.h>

#include <csignal>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

const std::string begun = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\nhello";

}  // namespace

TEST_CASE(
    "a request under way through a reload is answered by the old worker, and the answer is the connection's last") {
  Baton baton({"-w", "1", "--log-level", "debug"});
  const Worker old = baton.workers().front();
  Connection under_way(baton.address());
  under_way.send(begun);
  CHECK(under_way.read_response().status == 100);
  baton.signal(SIGHUP);
  const Worker successor = baton.wait_for_successor(old);
  baton.wait_for("draining, 1 connections");
  CHECK(becomes_true([&] { return answering_pid(baton.address()) == successor.pid; }));
  under_way.send("world");
  const Response response = under_way.read_response();
  CHECK(pid_in(response) == old.pid);
  CHECK(response.fields.at("connection") == "close");
  CHECK(under_way.read_to_end().empty());
  baton.wait_for(fmt::format("worker 1 pid {} has finished", old.pid));
}

TEST_CASE("a request that comes in pieces through a reload is answered, too") {
  Baton baton({"-w", "1", "--log-level", "debug"});
  const Worker old = baton.workers().front();
  Connection slow(baton.address());
  slow.send(plain_request.substr(0, 10));
  CHECK(answering_pid(baton.address()) == old.pid);  // so the one before has been accepted, too
  baton.signal(SIGHUP);
  baton.wait_for("draining, ");
  slow.send(plain_request.substr(10));
  const Response response = slow.read_response();
  CHECK(pid_in(response) == old.pid);
  CHECK(response.fields.at("connection") == "close");
}

TEST_CASE("a kept connection at rest has a moment for what is on the wire, and is closed without a reset") {
  Baton baton({"-w", "1", "--log-level", "debug"});
  const Worker old = baton.workers().front();
  Connection resting(baton.address());
  Connection late(baton.address());
  for (Connection* each : {&resting, &late}) {
    each->send(plain_request);
    CHECK(pid_in(each->read_response()) == old.pid);
  }
  baton.signal(SIGHUP);
  baton.wait_for("draining, 2 connections");
  late.send(plain_request);
  const Response last = late.read_response();
  CHECK(pid_in(last) == old.pid);
  CHECK(last.fields.at("connection") == "close");
  CHECK(late.read_to_end().empty());
  CHECK(resting.read_to_end().empty());  // which fails by a reset
  baton.wait_for(fmt::format("worker 1 pid {} has finished", old.pid));
}

TEST_CASE("connections that nobody has accepted when the drain begins are answered") {
  Baton baton({"-w", "1"});
  const Worker old = baton.workers().front();
  const baton::Fd worker = open_pidfd(old.pid);
  signal_process(worker, SIGSTOP);
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(std::make_unique<Connection>(baton.address()));
    waiting.back()->send(plain_request);
  }
  baton.signal(SIGHUP);
  const Worker successor = baton.wait_for_successor(old);
  signal_process(worker, SIGCONT);
  for (const auto& each : waiting) {
    const pid_t pid = pid_in(each->read_response());
    CHECK((pid == old.pid || pid == successor.pid));
  }
}

TEST_CASE("a worker that does not finish in time is told again, and killed, and the reload comes to its end") {
  Baton baton({"-w", "1", "--drain-timeout", "300ms"});
  const Worker old = baton.workers().front();
  Connection under_way(baton.address());
  under_way.send(begun);
  CHECK(under_way.read_response().status == 100);
  baton.signal(SIGHUP);
  const std::string line = baton.wait_for(" did not finish within 300 ms and is killed");
  CHECK(line.find(fmt::format(" warning master[{}] worker 1 pid {} ", baton.pid(), old.pid)) != std::string::npos);
  baton.wait_for(fmt::format("worker 1 pid {} was killed by SIGKILL (Killed)", old.pid));
  baton.wait_for("reload 1: done, 1 worker replaced");
  CHECK(answering_pid(baton.address()) != old.pid);
}

TEST_CASE("a command's worker that ignores TERM is killed when its time is over, and its successor serves all along") {
  Baton baton(with_foreign({"-w", "2", "--drain-timeout", "200ms"}, {"ignore term"}));
  const std::vector<pid_t> before = baton.pids();
  Traffic traffic(baton.address(), Connections::fresh, 4);
  reload(baton);
  for (const pid_t each : before) baton.wait_for(fmt::format("pid {} was killed by SIGKILL (Killed)", each));
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.count(Fate::refused) == 0);
  CHECK(tally.failed() <= 2);  // whom those two were answering
  baton.program().wait_for(" ready", 4);
  CHECK(baton.stop(SIGTERM) == "code 0");
}

TEST_CASE("a command's worker that drains properly loses nobody through ten reloads") {
  Baton baton(with_foreign({"-w", "2"}, {"none"}));
  baton.workers();
  Traffic traffic(baton.address(), Connections::fresh, 8);
  reload(baton, 10);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

TEST_CASE("a worker that asks for its listener again when there is none to give any more does not end the master") {
  Baton baton(with_foreign({"-w", "2"}, {"refuse at the end"}));
  baton.program().wait_for("waits for TERM", 2);
  CHECK(baton.stop(SIGTERM) == "code 0");
}
