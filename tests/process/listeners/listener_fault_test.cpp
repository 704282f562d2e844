// Process tests. A worker that tampers with the listener, which it shares with all the others: noticed, mended, told
// of.
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

struct Row {
  std::string kind;
  std::string workers;
};

std::string address_of(const std::string& kind, const Directory& directory) {
  return kind == "unix" ? "unix:" + directory / "x.sock" : kind == "abstract" ? abstract_address() : kind;
}

/// That connections are answered, from now on, every one.
void check_serves(Baton& baton) {
  Traffic traffic(baton.address(), Connections::fresh, 8);
  traffic.wait_for_answers(200);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

bool is_answered(const std::string& address) {
  try {
    Connection connection(address);
    connection.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    return !connection.read_to_end().empty();
  } catch (const std::system_error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("a listener that a worker shuts down listens again, and the worker is replaced") {
  const auto [kind, workers] = GENERATE(values<Row>({
      {"127.0.0.1:0", "1"},
      {"127.0.0.1:0", "3"},
      {"[::1]:0", "3"},
      {"unix", "1"},
      {"unix", "3"},
      {"abstract", "1"},
      {"abstract", "3"},
  }));
  CAPTURE(kind, workers);
  const Directory directory;
  Baton baton(with_foreign({"-w", workers, "-l", address_of(kind, directory)}, {"shutdown"}));
  baton.workers();
  const Worker culprit{1, baton.latest()[1]};
  ::kill(culprit.pid, SIGUSR1);
  const std::string line = baton.wait_for(" was shut down by ");
  CHECK(line.find(fmt::format(" warning master[{}] the listener {} was shut down by ", baton.pid(), baton.address())) !=
        std::string::npos);
  CHECK(line.find("; listening again") != std::string::npos);
  if (workers == "1") CHECK(line.find(fmt::format("by worker 1 pid {};", culprit.pid)) != std::string::npos);
  baton.wait_for(fmt::format("worker 1 pid {} may have tampered with a listener and is replaced", culprit.pid));
  const Worker successor = baton.wait_for_successor(culprit);
  baton.wait_for(fmt::format("worker 1 pid {} has finished", culprit.pid));
  check_serves(baton);
  CHECK(answering_pids(baton.address(), std::stoul(workers)).contains(successor.pid));
  CHECK(baton.count(" was shut down by ") == 1);
}

TEST_CASE("a listener that is shut down by every worker number 1 that comes does not take all the machine's time") {
  Baton baton(with_foreign({"-w", "1"}, {"always shutdown", "1"}));
  baton.wait_for(" was shut down by ");
  CHECK_FALSE(baton.program().read_until([] { return false; }, Deadline(1500ms)));
  // Without pauses there would be hundreds.
  CHECK(baton.count(" ready") < 40);
  CHECK(becomes_true([&] { return is_answered(baton.address()); }));
}

TEST_CASE("a backlog that a worker cuts is given back, and the worker is replaced") {
  const auto [kind, workers] =
      GENERATE(values<Row>({{"127.0.0.1:0", "1"}, {"[::1]:0", "3"}, {"unix", "3"}, {"abstract", "1"}}));
  CAPTURE(kind, workers);
  const Directory directory;
  Baton baton(with_foreign({"-w", workers, "-l", address_of(kind, directory)}, {"listen"}));
  baton.workers();
  const Worker culprit{1, baton.latest()[1]};
  ::kill(culprit.pid, SIGUSR1);
  const std::string line = baton.wait_for(" had its backlog ");
  CHECK(line.find(fmt::format("the listener {} had its backlog ", baton.address())) != std::string::npos);
  const bool is_unix = kind == "unix" || kind == "abstract";  // where the kernel knows who it was
  if (workers == "1" || is_unix)
    CHECK(line.find(fmt::format(" by worker 1 pid {};", culprit.pid)) != std::string::npos);
  baton.wait_for_successor(culprit);
  CHECK(baton.wait_for(fmt::format("worker 1 pid {} has finished", culprit.pid)).find("info") != std::string::npos);
  // Many more than two fit again: with nobody to accept, they wait.
  for (const auto& [number, pid] : baton.latest()) ::kill(pid, SIGSTOP);
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 30; ++i) waiting.push_back(std::make_unique<Connection>(baton.address()));
  for (const auto& [number, pid] : baton.latest()) ::kill(pid, SIGCONT);
  waiting.clear();
  check_serves(baton);
}

TEST_CASE("under clients: a listener that is shut down costs those who wait there, and soon nobody") {
  const Directory directory;
  Baton baton({"-w", "4"});
  baton.workers();
  Traffic kept(baton.address(), Connections::kept, 4);
  kept.wait_for_answers(20);
  // What a worker can do, anybody with a copy can.
  const pid_t worker = baton.pids().front();
  const Inodes listening = listening_sockets();
  int copy = -1;
  const baton::Fd process = open_pidfd(worker);
  for (const auto& [number, what] : descriptors_of(worker))
    if (what.starts_with("socket:[") && listening.contains(std::stoull(what.substr(8))))
      copy = static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0));
  if (copy == -1) {
    WARN("NOT TESTED: pidfd_getfd is not permitted");
    return;
  }
  const baton::Fd listener{copy};
  REQUIRE(::shutdown(listener.get(), SHUT_RDWR) == 0);
  baton.wait_for(" shut down by ");  // it may be a worker that notices first, and listens again
  check_serves(baton);
  const Tally tally = kept.stop();
  CAPTURE(tally);
  CHECK(tally.count(Fate::empty) == 0);
  CHECK(tally.count(Fate::timed_out) == 0);
}
