// Process tests. Workers that are handed connections and stop, die or break the rules: the others answer, nothing is
// lost, and the master neither spins nor falls.
#include <fmt/format.h>
#include <sys/resource.h>

#include <csignal>
#include <map>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

const std::string never_hung = "--hang-timeout=0";
constexpr std::int64_t room_for_many = 32;
constexpr std::int64_t room_of_node = 8;

std::vector<std::string> with_handed(std::vector<std::string> arguments, const std::string& fault,
                                     const std::string& kind) {
  arguments.insert(arguments.end(), {"--", programs::handed_worker(), fault, kind, programs::baton()});
  return arguments;
}

std::int64_t in_flight(Baton& baton, int number) {
  const boost::json::object status = baton.status();
  for (const auto& each : status.at("workers").as_array())
    if (each.at("worker").as_int64() == number && each.as_object().contains("in_flight"))
      return each.at("in_flight").as_int64();
  return -1;
}

std::vector<std::unique_ptr<Connection>> ask(const std::string& address, int count) {
  std::vector<std::unique_ptr<Connection>> made;
  for (int i = 0; i < count; ++i) {
    made.push_back(std::make_unique<Connection>(address));
    made.back()->send(plain_request);
  }
  return made;
}

/// Those that have an answer within a moment.
int answered(const std::vector<std::unique_ptr<Connection>>& connections) {
  int count = 0;
  for (const auto& each : connections)
    if (each->is_readable_within(20)) ++count;
  return count;
}

}  // namespace

TEST_CASE("what a worker never acknowledged is answered by another when it dies, in every policy") {
  const std::string kind = GENERATE(values<std::string>({"many", "one"}));
  const std::string fault = GENERATE(values<std::string>({"never acknowledges", "holds"}));
  const std::string policy = GENERATE(values<std::string>({"roundrobin", "leastconn", "source"}));
  CAPTURE(kind, fault, policy);
  Baton baton(with_handed({"-w", "3", "--policy", policy}, fault, kind));
  baton.workers();
  const Worker odd{1, baton.latest()[1]};
  auto connections = ask(baton.address(), 60);
  if (policy != "source") CHECK(becomes_true([&] { return in_flight(baton, 1) > 0; }));
  const std::int64_t stuck = in_flight(baton, 1);
  const std::int64_t bound = kind == "many" ? room_for_many : room_of_node;
  if (policy != "source") CHECK(stuck <= bound);
  // Its successors are as odd as it was: each is killed.
  CHECK(becomes_true([&] {
    ::kill(baton.latest()[1], SIGKILL);
    return answered(connections) == 60;
  }));
  for (const auto& each : connections) {
    const Response response = each->read_response();
    CHECK(response.status == 200);
    CHECK(pid_in(response) != odd.pid);
  }
}

TEST_CASE("a stopped worker keeps what is on its way to it, within bounds, and nobody else waits") {
  const std::string policy = GENERATE(values<std::string>({"roundrobin", "leastconn"}));
  CAPTURE(policy);
  Baton baton({"-w", "3", "--policy", policy, never_hung});
  baton.workers();
  const Worker stopped{2, baton.latest()[2]};
  ::kill(stopped.pid, SIGSTOP);
  auto connections = ask(baton.address(), 300);
  CHECK(becomes_true([&] { return answered(connections) >= 300 - room_for_many; }));
  CHECK(in_flight(baton, 2) <= room_for_many);
  CHECK(in_flight(baton, 2) > 0);
  ::kill(stopped.pid, SIGCONT);
  int its = 0;
  for (const auto& each : connections)
    if (pid_in(each->read_response()) == stopped.pid) ++its;
  CHECK(its > 0);
  CHECK(becomes_true([&] { return in_flight(baton, 2) == 0; }));
}

TEST_CASE("every worker is stopped: the kernel's queue holds what comes, and all of it is answered when they go on") {
  const std::string policy = GENERATE(values<std::string>({"roundrobin", "leastconn", "source"}));
  CAPTURE(policy);
  Baton baton({"-w", "2", "--policy", policy, never_hung});
  const std::vector<pid_t> pids = baton.pids();
  for (const pid_t each : pids) ::kill(each, SIGSTOP);
  auto connections = ask(baton.address(), 600);
  const auto before = cpu_ticks(baton.pid());
  CHECK_FALSE(connections.front()->is_readable_within(300));
  CHECK(cpu_ticks(baton.pid()) - before < 15);  // of 30: it does not spin
  if (policy != "source")
    for (int number = 1; number <= 2; ++number) CHECK(in_flight(baton, number) == room_for_many);
  for (const pid_t each : pids) ::kill(each, SIGCONT);
  for (const auto& each : connections) CHECK(each->read_response().status == 200);
}

TEST_CASE("out of descriptors the master waits without spinning, and answers all once there is room") {
  const auto lower = [] {
    const rlimit limit{40, 40};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  };
  Baton baton({"-w", "2", "--policy", "roundrobin", never_hung}, {{}, {}, lower});
  const std::vector<pid_t> pids = baton.pids();
  for (const pid_t each : pids) ::kill(each, SIGSTOP);
  auto connections = ask(baton.address(), 60);
  baton.wait_for("can't accept: too many open files");
  const auto before = cpu_ticks(baton.pid());
  CHECK_FALSE(connections.front()->is_readable_within(500));
  CHECK(cpu_ticks(baton.pid()) - before < 20);  // of 50
  CHECK(baton.count("can't accept") == 1);
  for (const pid_t each : pids) ::kill(each, SIGCONT);
  // The workers have as little room: what they answer makes it.
  for (const auto& each : connections) {
    CHECK(each->read_response().status == 200);
    ::shutdown(each->socket().get(), SHUT_RDWR);
  }
}

TEST_CASE("a worker that takes only a part of what it is sent: the others get the rest") {
  const std::string kind = GENERATE(values<std::string>({"many", "one"}));
  const std::string fault = GENERATE(values<std::string>({"takes none", "takes half"}));
  CAPTURE(kind, fault);
  Baton baton(with_handed({"-w", "2", "--policy", "roundrobin"}, fault, kind));
  baton.workers();
  Traffic traffic(baton.address(), Connections::fresh, 8);
  traffic.wait_for_answers(300);
  baton.wait_for("which others get");
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

TEST_CASE("a worker that says what is wrong of its connections harms nobody") {
  struct Case {
    std::string fault;
    std::string kind;
    std::string sign;
  };
  const Case each = GENERATE(values<Case>({
      {"chatters", "many", "a taken message, which is out of place here, is ignored"},
      {"chatters", "one", "a handle_ack message, which is out of place here, is ignored"},
      {"chatters", "one", "a open message, which is out of place here, is ignored"},
      {"chatters", "many", "a connections message, which is out of place here, is ignored"},
      {"counts too many", "many", "a taken message, which is out of place here, is ignored"},
      {"counts what is no number", "many", "a taken message, which is out of place here, is ignored"},
      {"closes too many", "many", "a closed message, which is out of place here, is ignored"},
  }));
  const std::string policy = GENERATE(values<std::string>({"roundrobin", "leastconn"}));
  CAPTURE(each.fault, each.kind, policy);
  Baton baton(with_handed({"-w", "2", "--policy", policy}, each.fault, each.kind));
  baton.workers();
  // Said while something is on its way, some of it would be believed: a lie about clients, who can then be lost.
  if (each.fault == "chatters") baton.wait_for("says \"done\"");
  Traffic traffic(baton.address(), Connections::fresh, 4);
  traffic.wait_for_answers(200);
  baton.wait_for(each.sign);
  traffic.wait_for_answers(100);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
  CHECK(tally.pids.size() == 2);
}

TEST_CASE("a worker that closes its channel is replaced: nothing can reach it") {
  Baton baton(with_handed({"-w", "2", "--policy", "roundrobin"}, "ends its channel", "one"));
  baton.workers();
  Traffic traffic(baton.address(), Connections::fresh, 4);
  baton.wait_for("has closed its channel and is replaced");
  traffic.wait_for_answers(50);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}
