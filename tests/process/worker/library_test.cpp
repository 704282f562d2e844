// Process tests. The library: the example program, built from what is installed, as a worker of baton in both dialects,
// of a master in the test's hands, and of systemd's conventions.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <csignal>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "master/process/notify_socket.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/fake_master.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

std::vector<std::string> with_example(std::vector<std::string> arguments, const std::string& dialect) {
  arguments.insert(arguments.end(), {"--dialect", dialect, "--", programs::example()});
  return arguments;
}

std::uint64_t number(const boost::json::object& object, const char* name) {
  return object.at(name).to_number<std::uint64_t>();
}

std::set<pid_t> set_of(const std::vector<pid_t>& pids) {
  return {pids.begin(), pids.end()};
}

bool is_cloexec(pid_t pid, int descriptor) {
  std::ifstream info(fmt::format("/proc/{}/fdinfo/{}", pid, descriptor));
  std::string word;
  while (info >> word && word != "flags:") {
  }
  unsigned flags = 0;
  info >> std::oct >> flags;
  return (flags & O_CLOEXEC) != 0;
}

}  // namespace

TEST_CASE("library: the example's workers answer, and status shows what they counted") {
  const std::string dialect = GENERATE("listen-fds", "channel");
  CAPTURE(dialect);
  Baton baton(with_example({"-w", "2"}, dialect));
  CHECK(answering_pids(baton.address(), 2) == set_of(baton.pids()));
  const std::uint64_t before = number(baton.status().at("totals").as_object(), "requests");
  CHECK(before >= 2);
  for (int i = 0; i < 20; ++i) answering_pid(baton.address());
  CHECK(becomes_true([&] { return number(baton.status().at("totals").as_object(), "open") == 0; }));
  const boost::json::object status = baton.status();
  CHECK(number(status.at("totals").as_object(), "requests") == before + 20);
  for (const auto& each : status.at("workers").as_array()) {
    CHECK(number(each.as_object(), "accepted") >= 1);
    CHECK(number(each.as_object(), "bytes") >= 100);
  }
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("library: no client is lost by a reload, by scaling up and down, and at the stop") {
  const std::string dialect = GENERATE("listen-fds", "channel");
  CAPTURE(dialect);
  Baton baton(with_example({"-w", "2"}, dialect));
  baton.workers();
  Traffic traffic(baton.address(), Connections::fresh, 8);
  traffic.wait_for_answers(50);
  reload(baton);
  traffic.wait_for_answers(50);
  baton.signal(SIGTTIN);
  baton.wait_for("scaled: 3 workers are ready");
  traffic.wait_for_answers(50);
  const Worker third{3, baton.latest().at(3)};
  const baton::Fd leaving = open_pidfd(third.pid);
  baton.signal(SIGTTOU);
  CHECK(has_ended(leaving));
  traffic.wait_for_answers(50);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
  CHECK(tally.pids.contains(third.pid));
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK_FALSE(baton.log_has("did not finish"));
}

TEST_CASE("library: a worker that is killed is replaced, and costs nobody else anything") {
  const std::string dialect = GENERATE("listen-fds", "channel");
  CAPTURE(dialect);
  Baton baton(with_example({"-w", "2"}, dialect));
  const Worker victim = baton.workers().front();
  Traffic traffic(baton.address(), Connections::fresh, 4);
  traffic.wait_for_answers(20);
  ::kill(victim.pid, SIGKILL);
  const Worker successor = baton.wait_for_successor(victim);
  CHECK(becomes_true([&] { return traffic.so_far().pids.contains(successor.pid); }));
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() <= 4);  // whom it was answering
  CHECK(tally.count(Fate::refused) == 0);
}

TEST_CASE("library: workers with nothing to do are not taken for hung, and one that stands still is") {
  const std::string dialect = GENERATE("listen-fds", "channel");
  CAPTURE(dialect);
  Baton baton(with_example({"-w", "2", "--hang-timeout", "400ms"}, dialect));
  const Worker victim = baton.workers().front();
  CHECK_FALSE(baton.program().read_until([&] { return baton.log_has("warning"); }, Deadline(1200ms)));
  ::kill(victim.pid, SIGSTOP);
  baton.wait_for(fmt::format("worker {} pid {} has not been heard of for 400 ms", victim.number, victim.pid));
  baton.wait_for_successor(victim);
}

TEST_CASE("library: a worker is ready when it says so, not when it has the listener") {
  // This one takes its listener, and then waits for the end of its channel: it says nothing but hello.
  const std::string worker =
      R"(printf '{"cmd":"NODE_BATON_HELLO"}\n{"cmd":"NODE_HANDLE_ACK"}\n' >&$NODE_CHANNEL_FD; exec sleep 60)";
  Baton baton({"-w", "1", "--ready-timeout", "300ms", "--", "/bin/sh", "-c", worker});
  baton.wait_for("was not ready within 300 ms");
  CHECK(baton.count(" ready") == baton.count("was not ready"));
}

TEST_CASE("library: connections that the master hands over are answered, each worker its share") {
  const std::string policy = GENERATE("roundrobin", "leastconn");
  CAPTURE(policy);
  Baton baton(with_example({"-w", "2", "--policy", policy}, "channel"));
  const std::set<pid_t> workers = set_of(baton.pids());
  CHECK(answering_pids(baton.address(), 2) == workers);
  Traffic traffic(baton.address(), Connections::fresh, 8);
  traffic.wait_for_answers(100);
  reload(baton);
  traffic.wait_for_answers(100);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
  CHECK(becomes_true([&] {
    const boost::json::object status = baton.status();
    for (const auto& each : status.at("workers").as_array())
      if (number(each.as_object(), "in_flight") > 0 || number(each.as_object(), "open") > 0) return false;
    return true;
  }));
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("library: messages go both ways, and the master's end is the worker's") {
  LoopbackListener listener;
  FakeMaster master(FakeMaster::Command{{programs::example()}});
  CHECK(master.read_line() == R"({"cmd":"NODE_BATON_HELLO"})");
  CHECK(master.read_line() == R"("ready")");
  master.send(R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"})", {listener.socket.get()});
  CHECK(master.read_line() == R"({"cmd":"NODE_HANDLE_ACK"})");
  CHECK(answering_pid(listener.address) == master.worker().pid());
  master.send(R"({"hello":"world"})");
  CHECK(master.read_line() == fmt::format(R"({{"pid":{},"heard":{{"hello":"world"}}}})", master.worker().pid()));
}

TEST_CASE("library: who is queued when a worker leaves is answered by it") {
  LoopbackListener listener;
  FakeMaster master(FakeMaster::Command{{programs::example()}});
  CHECK(master.read_line() == R"({"cmd":"NODE_BATON_HELLO"})");
  CHECK(master.read_line() == R"("ready")");
  master.send(R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"})", {listener.socket.get()});
  CHECK(master.read_line() == R"({"cmd":"NODE_HANDLE_ACK"})");
  CHECK(answering_pid(listener.address) == master.worker().pid());
  master.worker().signal(SIGSTOP);
  std::vector<Connection> queued;
  for (int i = 0; i < 10; ++i) {
    queued.emplace_back(listener.address);
    queued.back().send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  }
  listener.socket.reset();
  master.worker().signal(SIGTERM);
  master.worker().signal(SIGCONT);
  for (Connection& each : queued) CHECK(pid_in(each.read_response()) == master.worker().pid());
}

TEST_CASE("library: by systemd's conventions alone, with no channel") {
  LoopbackListener listener;
  baton::NotifySocket notify_socket;
  // Under systemd LISTEN_PID is set between fork and exec, and so it is here.
  const baton::Fd high{::fcntl(listener.socket.get(), F_DUPFD_CLOEXEC, 50)};
  const std::string start = fmt::format("exec 3<&{0} {0}<&-; LISTEN_PID=$$ exec \"$0\"", high.get());
  Program worker(
      {{"bash", "-c", start, programs::example()},
       {"LISTEN_FDS=1", "LISTEN_FDNAMES=web", "NOTIFY_SOCKET=" + notify_socket.address(), "WATCHDOG_USEC=100000"},
       {high.get()},
       {}});
  baton::Notification notification;
  CHECK(becomes_true([&] {
    const baton::Notification next = notify_socket.receive(worker.pid());
    notification.ready = notification.ready || next.ready;
    notification.alive = notification.alive || next.alive;
    return notification.ready && notification.alive;
  }));
  CHECK(answering_pid(listener.address) == worker.pid());
  worker.signal(SIGTERM);
  CHECK(worker.wait_for_end() == "code 0");
}

TEST_CASE("library: a worker keeps nothing open that a program which it starts would inherit") {
  const std::string dialect = GENERATE("listen-fds", "channel");
  CAPTURE(dialect);
  Baton baton(with_example({"-w", "1"}, dialect));
  const pid_t worker = baton.pids().front();
  CHECK(answering_pid(baton.address()) == worker);
  for (const auto& [number, what] : descriptors_of(worker)) {
    CAPTURE(number, what);
    CHECK((number <= STDERR_FILENO || is_cloexec(worker, number)));
  }
}
