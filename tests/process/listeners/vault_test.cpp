// Process tests. The listener outlives its workers: whoever kills them costs the clients that they were answering an
// answer, and nobody else anything.
#include <fmt/format.h>
#include <poll.h>

#include <csignal>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// How many clients a worker holds that does not run on meanwhile.
std::size_t connections_of(pid_t pid) {
  return sockets_of(pid).size() - 2;  // less its listener and its channel
}

/// Returns how many clients that has cost an answer, at most.
std::size_t kill_counting(pid_t pid) {
  const baton::Fd worker = open_pidfd(pid);
  signal_process(worker, SIGSTOP);
  if (!becomes_true([&] { return status_of(pid, "State").starts_with('T'); })) FAIL("it does not stop");
  const std::size_t connections = connections_of(pid);
  signal_process(worker, SIGKILL);
  return connections;
}

void serve_until(Baton& baton, const Deadline& deadline) {
  baton.program().read_until([] { return false; }, deadline);
}

void kill_all(Baton& baton) {
  const std::map<int, pid_t> victims = baton.latest();
  for (const auto& [number, pid] : victims) ::kill(pid, SIGKILL);
  for (const auto& [number, pid] : victims) baton.wait_for_successor({number, pid});
}

}  // namespace

TEST_CASE("one of 8 workers killed every 100 ms: what it was answering is lost, nobody is refused, all 8 are back") {
  const int kills = programs::rounds(40);
  Baton baton({"-w", "8"});
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  Traffic kept(baton.address(), Connections::kept);
  std::size_t cost = 0;
  for (int i = 0; i < kills; ++i) {
    const int number = 1 + i % 8;
    const Worker victim{number, baton.latest()[number]};
    cost += kill_counting(victim.pid);
    const Deadline pause(100ms);
    baton.wait_for_successor(victim);
    serve_until(baton, pause);
  }
  for (const Tally& each : {fresh.stop(), kept.stop()}) {
    CAPTURE(each, cost);
    CHECK(each.count(Fate::refused) == 0);
    CHECK(each.count(Fate::timed_out) == 0);
    CHECK(each.count(Fate::malformed) == 0);
    CHECK(each.failed() <= cost);
  }
  CHECK(fresh.so_far().failed() + kept.so_far().failed() <= cost);
  std::set<pid_t> living;
  for (const auto& [number, pid] : baton.latest()) living.insert(pid);
  CHECK(living.size() == 8);
  CHECK(answering_pids(baton.address(), 8) == living);
}

TEST_CASE("all 8 workers killed at once, ten times: nobody is refused") {
  Baton baton({"-w", "8"});
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  Traffic kept(baton.address(), Connections::kept);
  const int times = programs::rounds(10);
  for (int i = 0; i < times; ++i) {
    kill_all(baton);
    kept.wait_for_answers(100);
    fresh.wait_for_answers(100);
  }
  for (const Tally& each : {fresh.stop(), kept.stop()}) {
    CAPTURE(each);
    CHECK(each.count(Fate::refused) == 0);
    CHECK(each.count(Fate::timed_out) == 0);
    CHECK(each.count(Fate::malformed) == 0);
    CHECK(each.failed() <= static_cast<std::uint64_t>(times) * 16);
  }
}

TEST_CASE("connections that are made while no worker lives are answered by the next ones") {
  const std::string address = GENERATE(values<std::string>({"127.0.0.1:0", "[::1]:0", abstract_address()}));
  Baton baton({"-w", "2", "-l", address});
  const std::vector<pid_t> before = baton.pids();
  baton.signal(SIGSTOP);  // so that there is no next one yet
  for (const pid_t each : before) {
    const baton::Fd worker = open_pidfd(each);
    signal_process(worker, SIGKILL);
    REQUIRE(has_ended(worker));
  }
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(std::make_unique<Connection>(baton.address()));
    waiting.back()->send(last_request);
  }
  CHECK_FALSE(waiting.front()->is_readable_within(50));
  baton.signal(SIGCONT);
  for (const auto& each : waiting) {
    const pid_t pid = pid_in(each->read_response());
    CHECK((pid != before.front() && pid != before.back()));
    CHECK(each->read_to_end().empty());
  }
}

TEST_CASE("a worker killed under a request does not take those with it that wait to be accepted") {
  Baton baton({"-w", "1"});
  const baton::Fd worker = open_pidfd(baton.pids().front());
  signal_process(worker, SIGSTOP);
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(std::make_unique<Connection>(baton.address()));
    waiting.back()->send(last_request);
  }
  signal_process(worker, SIGKILL);
  for (const auto& each : waiting) CHECK(pid_in(each->read_response()) != baton.pids().front());
}

TEST_CASE("the master's descriptors are the same after dozens of deaths") {
  Baton baton({"-w", "4"});
  baton.workers();
  const auto shape = [&] {
    std::map<std::string, int> kinds;
    for (const auto& [number, what] : descriptors_of(baton.pid())) ++kinds[what.substr(0, what.find('['))];
    return kinds;
  };
  const auto before = shape();
  for (int i = 0; i < 10; ++i) kill_all(baton);
  CHECK(becomes_true([&] { return shape() == before; }));
  CHECK(living_children_of(baton.pid()).size() == 4);
}
