// Interop tests. Workers of Node's cluster that come, leave and die under clients.
#include <fmt/format.h>

#include <csignal>

#include "tests/interop/node/cluster/cluster.hpp"
#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

TEST_CASE("cluster: a worker that leaves by itself finishes what it is answering, and is replaced without a failure") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2"}, {"plain", "0"}));
  baton.workers();
  const std::string address = asked(baton);
  const pid_t leaver = ask(address, "/leave");
  baton.wait_for(fmt::format("pid {} leaves by itself and is replaced", leaver));
  baton.wait_for(fmt::format("pid {} has finished", leaver));
  const std::size_t ready = 3;
  baton.program().wait_for(" ready", ready);
  CHECK(answering_pids(address, 2).count(leaver) == 0);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("cluster: reloads under load lose nobody: what is answered is finished, what waits is answered") {
  if (!has_node()) return;
  const char* policy = GENERATE("shared", "roundrobin", "leastconn");
  CAPTURE(policy);
  Baton baton(cluster({"-w", "2", "--policy", policy}, {"plain", "0"}));
  baton.workers();
  const std::string address = asked(baton);
  Traffic traffic(address, Connections::fresh, 8);
  traffic.wait_for_answers(50);
  reload(baton, 2);
  traffic.wait_for_answers(50);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
  CHECK(tally.pids.size() >= 4);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("cluster: a worker killed, scaling up and down, under load") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "3", "--policy", "roundrobin"}, {"plain", "0"}));
  baton.workers();
  const std::string address = asked(baton);
  Traffic traffic(address, Connections::fresh, 8);
  traffic.wait_for_answers(50);
  baton.signal(SIGTTOU);
  baton.wait_for("scaled: ");
  baton.signal(SIGTTIN);
  baton.program().wait_for("scaled: ", 2);
  CHECK(traffic.so_far().failed() == 0);
  const Worker victim{1, baton.latest()[1]};
  ::kill(victim.pid, SIGKILL);
  baton.wait_for_successor(victim);
  traffic.wait_for_answers(50);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() <= 8);  // what the victim was answering
  CHECK(tally.count(Fate::refused) == 0);
}

TEST_CASE("cluster: every worker killed at once: who comes meanwhile waits, and is answered") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2"}, {"plain", "0"}));
  baton.workers();
  const std::string address = asked(baton);
  for (const pid_t each : baton.pids()) ::kill(each, SIGKILL);
  for (int i = 0; i < 4; ++i) CHECK(answering_pid(address) > 0);
}

TEST_CASE("cluster: a slow answer is finished in a reload, and a program that does not end by itself is ended") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "1"}, {"pool"}));
  const pid_t old = baton.pids().front();
  Connection slow(asked(baton));
  slow.send("GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  REQUIRE(answering_pid(asked(baton)) == old);  // it has read that by now
  reload(baton);
  CHECK(pid_in(slow.read_response()) == old);
  baton.wait_for(fmt::format("pid {} has finished", old));
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("cluster: a port that is asked for later than the first is there all the time") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "1"}, {"late"}));
  const std::string second = asked(baton, 2);
  baton.wait_for(fmt::format("\"port\":{}", port_of(second)));
  reload(baton);
  Connection waits(second);  // the new worker does not listen there yet
  waits.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(pid_in(waits.read_response()) == baton.latest()[1]);
}

TEST_CASE("cluster: a port that no program asks for any more is closed") {
  if (!has_node()) return;
  Baton closer(cluster({"-w", "1"}, {"closes"}));
  const std::string address = asked(closer);
  signal_process(open_pidfd(closer.pids().front()), SIGUSR2);
  closer.wait_for("no longer listening on " + address);
  CHECK(is_refused(address));
}

TEST_CASE(
    "cluster: when every worker fails, clients are refused, and once one is ready they are served at the same port") {
  if (!has_node()) return;
  const Directory directory;
  const char* policy = GENERATE("shared", "roundrobin");
  Baton baton(cluster({"-w", "1", "--ready", "message", "--policy", policy}, {"fails", directory / "cure"}));
  const std::string address = asked(baton);
  baton.wait_for("every worker fails");
  CHECK(is_refused(address));
  write_file(directory / "cure", "");
  baton.wait_for("listening on " + address + " again");
  CHECK(answering_pid(address) == baton.latest()[1]);
}
