// Interop tests. Node's workers under baton: a script written for child_process.fork() serves unchanged.
#include <fmt/format.h>

#include <csignal>
#include <set>

#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

std::vector<std::string> with_seed_script(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--", "node", script("node/seed_worker.js")});
  return arguments;
}

}  // namespace

TEST_CASE("Node's workers serve under baton, and both take part") {
  if (!has_node()) return;
  Baton baton(with_seed_script({"-w", "2"}));
  baton.program().wait_for("says {\"taken\":1", 2);
  const std::vector<pid_t> pids = baton.pids();
  CHECK(answering_pids(baton.address(), 2) == std::set<pid_t>(pids.begin(), pids.end()));

  const Inodes listening = listening_sockets();
  CHECK(common_to(sockets_of(baton.pid()), listening) == control_listeners(baton.control()));
  for (const pid_t each : pids) CHECK(common_to(sockets_of(each), listening).size() == 1);

  CHECK(baton.stop(SIGTERM) == "code 0");
  for (const pid_t each : pids) CHECK_FALSE(exists(each));
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("Node's workers receive every listener") {
  if (!has_node()) return;
  Baton baton(with_seed_script({"-w", "2", "-l", "127.0.0.1:0", "-l", "127.0.0.1:0"}));
  baton.program().wait_for("says {\"taken\":2", 2);
  for (const std::string& each : baton.addresses()) {
    const std::string port = each.substr(each.rfind(':') + 1);
    CHECK(baton.program().wait_for(fmt::format("\"port\":{}", port), 2).size() == 2);
    CHECK(answering_pids(each, 2).size() == 2);
  }
}

TEST_CASE("Node's workers serve with a listener each on one port") {
  if (!has_node()) return;
  Baton baton(
      {"-l", "127.0.0.1:0", "-w", "4", "--policy", "reuseport", "--", "node", BATON_SOURCE_DIR "/examples/worker.js"});
  const std::vector<pid_t> pids = baton.pids();
  CHECK(answering_pids(baton.address(), 4) == std::set<pid_t>(pids.begin(), pids.end()));
  const Inodes listening = listening_sockets();
  Inodes all;
  for (const pid_t each : pids) {
    Inodes its = common_to(sockets_of(each), listening);
    CHECK(its.size() == 1);
    all.merge(its);
  }
  CHECK(all.size() == 4);
  const Worker victim = baton.workers().front();
  ::kill(victim.pid, SIGKILL);
  const Worker successor = baton.wait_for_successor(victim);
  CHECK(answering_pids(baton.address(), 4).contains(successor.pid));
  Traffic traffic(baton.address(), Connections::fresh, 4);
  reload(baton);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  // Node answers in chunks, which our load does not read: to it every answer is "malformed".
  CHECK(tally.count(Fate::malformed) > 0);
  CHECK(tally.failed() == tally.count(Fate::malformed));
}

TEST_CASE("Node's workers serve with a port each") {
  if (!has_node()) return;
  Baton baton(
      {"-l", "127.0.0.1:0", "-w", "3", "--policy", "own-port", "--", "node", BATON_SOURCE_DIR "/examples/worker.js"});
  baton.workers();
  for (int round = 0; round < 2; ++round) {
    for (const auto& [number, pid] : baton.latest()) {
      const std::string line = baton.wait_for(fmt::format("worker {} pid {} ready on ", number, pid));
      const std::string address = line.substr(line.rfind(' ') + 1);
      CHECK(address == baton.addresses().at(static_cast<std::size_t>(number) - 1));
      for (int i = 0; i < 5; ++i) CHECK(answering_pid(address) == pid);
    }
    const Worker victim{2, baton.latest()[2]};
    ::kill(victim.pid, SIGKILL);
    baton.wait_for_successor(victim);
  }
}

TEST_CASE("what Node's worker sends shows in baton's log") {
  if (!has_node()) return;
  Baton baton({"-w", "1", "--", "node", "-e",
               "process.send({ foo: 'bar' }); process.send('ready'); process.on('message', () => {});"});
  CHECK(baton.wait_for("says ").ends_with("says {\"foo\":\"bar\"}"));
  const Worker worker = baton.workers().front();
  CHECK(baton.wait_for(fmt::format("worker {} pid {} ready", worker.number, worker.pid)).find(" info ") !=
        std::string::npos);
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK_FALSE(baton.log_has("warning"));  // "ready" is a word that such workers may say
}
