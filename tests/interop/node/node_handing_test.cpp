// Interop tests. Node's workers under the policies whose master accepts: each connection comes as Node's masters send
// it.
#include <fmt/format.h>

#include <csignal>
#include <map>
#include <memory>
#include <set>

#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

std::vector<std::string> with_script(std::vector<std::string> arguments, const std::string& blocked = "0") {
  arguments.insert(arguments.end(), {"--", "node", script("node/connection_worker.js"), blocked});
  return arguments;
}

std::int64_t held(Baton& baton, int number) {
  const boost::json::object status = baton.status();
  for (const auto& each : status.at("workers").as_array())
    if (each.at("worker").as_int64() == number && each.as_object().contains("held")) return each.at("held").as_int64();
  return -1;
}

}  // namespace

TEST_CASE("roundrobin: Node's workers get each connection in turn") {
  if (!has_node()) return;
  Baton baton(with_script({"-w", "3", "--policy", "roundrobin"}));
  baton.workers();
  const auto found = shares(baton.address(), 60);
  CHECK(found.size() == 3);
  for (const auto& [pid, count] : found) CHECK(count == 20);
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("source: one client of Node's workers has one worker") {
  if (!has_node()) return;
  Baton baton(with_script({"-w", "3", "--policy", "source"}));
  baton.workers();
  CHECK(shares(baton.address(), 30).size() == 1);
}

TEST_CASE("leastconn: Node's workers count what they hold") {
  if (!has_node()) return;
  Baton baton(with_script({"-w", "3", "--policy", "leastconn"}));
  baton.workers();
  std::multimap<pid_t, std::unique_ptr<Connection>> kept;
  const auto hold_one = [&] {
    auto connection = std::make_unique<Connection>(baton.address());
    connection->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    const pid_t pid = pid_in(connection->read_response());
    kept.emplace(pid, std::move(connection));
    return pid;
  };
  for (int i = 0; i < 12; ++i) hold_one();
  for (const pid_t each : baton.pids()) CHECK(kept.count(each) == 4);
  const Worker idle{2, baton.latest()[2]};
  kept.erase(idle.pid);
  // It says so when it is asked, which it is now and then.
  CHECK(becomes_true([&] { return held(baton, 2) == 0; }));
  CHECK(held(baton, 1) == 4);
  for (int i = 0; i < 4; ++i) CHECK(hold_one() == idle.pid);
}

TEST_CASE("leastconn: a Node worker that blocks gets nothing while the others have nothing to do") {
  if (!has_node()) return;
  Baton baton(with_script({"-w", "4", "--policy", "leastconn"}, "3000"));
  baton.workers();
  const pid_t slow = baton.latest()[1];
  Connection first(baton.address());
  first.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  CHECK(becomes_true([&] { return held(baton, 1) == 1; }));
  for (int i = 0; i < 10; ++i) {
    CHECK(answering_pid(baton.address()) != slow);
    CHECK(becomes_true([&] { return held(baton, 2) + held(baton, 3) + held(baton, 4) == 0; }));
  }
  CHECK(pid_in(first.read_response()) == slow);
}

TEST_CASE("Node's workers that are handed connections: killed, scaled and reloaded under traffic") {
  if (!has_node()) return;
  const std::string policy = GENERATE(values<std::string>({"roundrobin", "leastconn"}));
  CAPTURE(policy);
  Baton baton(with_script({"-w", "2", "--policy", policy}));
  baton.workers();
  {
    Traffic traffic(baton.address(), Connections::fresh, 8);
    Traffic alive(baton.address(), Connections::kept, 4);
    baton.signal(SIGTTIN);
    baton.wait_for("scaled: 3 workers are ready");
    traffic.wait_for_answers(100);
    baton.signal(SIGTTOU);
    baton.wait_for("scaled: 2 workers are ready");
    reload(baton);
    traffic.wait_for_answers(100);
    for (Traffic* each : {&traffic, &alive}) {
      const Tally tally = each->stop();
      CAPTURE(tally);
      CHECK(tally.failed() == 0);
      CHECK(tally.answered() > 0);
    }
  }
  constexpr int clients = 8;
  Traffic traffic(baton.address(), Connections::fresh, clients);
  traffic.wait_for_answers(100);
  const Worker victim{1, baton.latest()[1]};
  ::kill(victim.pid, SIGKILL);
  baton.wait_for_successor(victim);
  traffic.wait_for_answers(100);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.count(Fate::refused) == 0);
  CHECK(tally.failed() <= clients);
}

TEST_CASE("Node's workers under a policy that hands connections over are ready by what they say, too") {
  if (!has_node()) return;
  const std::string code =
      "const http = require('http');"
      "const server = http.createServer((q, r) => r.end(`pid is ${process.pid}\\n`));"
      "process.on('message', (m, socket) => { if (socket) server.emit('connection', socket); });"
      "setTimeout(() => process.send('ready'), 50);";
  Baton baton({"-w", "2", "--policy", "roundrobin", "--ready", "message", "--", "node", "-e", code});
  baton.workers();
  CHECK(shares(baton.address(), 10).size() == 2);
}
