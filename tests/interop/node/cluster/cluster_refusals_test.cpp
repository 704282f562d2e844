// Interop tests. What Node's cluster asks for and can't have, and what it does wrong.
#include <csignal>
#include <set>

#include "tests/interop/node/cluster/cluster.hpp"
#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

TEST_CASE("cluster: a port that another process has is EADDRINUSE, and others go on") {
  if (!has_node()) return;
  const Baton other({"-w", "1"});
  Baton baton(cluster({"-w", "1", "--ready", "message"}, {"vain", port_of(other.address())}));
  CHECK(baton.wait_for("says {\"failed\"").find(R"({"failed":"EADDRINUSE","call":"bind"})") != std::string::npos);
  CHECK(baton.wait_for("in vain").find("another process listens there") != std::string::npos);
}

TEST_CASE("cluster: a port that may not be bound is EACCES") {
  if (!has_node()) return;
  // In a network of its own, for elsewhere the port may be everybody's (net.ipv4.ip_unprivileged_port_start).
  const Words unprivileged{"unshare", "-rn", "setpriv", "--bounding-set=-net_bind_service"};
  Words possible = unprivileged;
  possible.emplace_back("true");
  if (Program({possible, {}, {}, {}}).wait_for_end() != "code 0") {
    WARN("NOT TESTED: no user namespaces here");
    return;
  }
  Words command = unprivileged;
  for (const std::string& each : cluster({"-w", "1", "--ready", "message"}, {"vain", "80", "0.0.0.0"}))
    command.push_back(each);
  command.insert(command.begin() + static_cast<std::ptrdiff_t>(unprivileged.size()), programs::baton());
  Program baton({command, {}, {}, {}});
  CHECK(baton.wait_for("in vain").find("ports below 1024 need CAP_NET_BIND_SERVICE") != std::string::npos);
  CHECK(baton.wait_for("says {\"failed\"").find(R"({"failed":"EACCES","call":"bind"})") != std::string::npos);
  baton.signal(SIGTERM);
  CHECK(baton.wait_for_end() == "code 0");
}

TEST_CASE("cluster: what no listener can be fails in the program as it would without baton") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "1", "--ready", "message"}, {"odd"}));
  baton.workers();
  CHECK(baton.program().wait_for(R"(says {"failed":"EINVAL")", 2).size() == 2);
  CHECK(baton.wait_for(R"(says {"failed":"EACCES")").find("\"bind\"") != std::string::npos);  // as libuv has it
}

TEST_CASE("cluster: the same port twice in one worker is EADDRINUSE, and its first one is served") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2"}, {"twice", "0"}));
  // Where any port will do, these are two.
  CHECK(answering_pids(asked(baton, 1), 2) == pids_of(baton));
  CHECK(asked(baton, 2) != asked(baton, 1));
  const std::string port = port_of(asked(baton));
  CHECK(baton.stop(SIGTERM) == "code 0");
  Baton again(cluster({"-w", "2"}, {"twice", port}));
  CHECK(again.program().wait_for(R"(says {"failed":"EADDRINUSE")", 2).size() == 2);
  CHECK(answering_pids(asked(again), 2) == pids_of(again));
}

TEST_CASE("cluster: UDP is refused, with the reason and the way out") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "1", "--ready", "message"}, {"udp"}));
  CHECK(baton.wait_for("in vain").find("baton shares stream sockets only (bind({ exclusive: true })") !=
        std::string::npos);
  CHECK(baton.wait_for("says {\"failed\"").find(R"({"failed":"ENOTSUP","call":"bind"})") != std::string::npos);
}

TEST_CASE("cluster: a program that never listens is told what it lacks, and may say that it is ready") {
  if (!has_node()) return;
  const Words flags{"--dialect", "node-cluster", "-w", "1", "--ready-timeout", "1s", "--", "node", "-e"};
  Words silent = flags;
  silent.push_back("setInterval(() => {}, 1000)");
  Baton baton(silent);
  CHECK(baton.wait_for("was not ready within").find("it listens on nothing") != std::string::npos);
}

TEST_CASE("cluster: TLS servers have the same ticket keys in all workers, and know of errors") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2"}, {"secure", "0"}));
  std::set<std::string> keys;
  for (const std::string& line : baton.program().wait_for("says {\"keys\"", 2))
    keys.insert(line.substr(line.find("says")));
  CHECK(keys.size() == 1);
  const Baton other({"-w", "1"});
  CHECK(baton.stop(SIGTERM) == "code 0");
  Baton vain(cluster({"-w", "1", "--ready", "message"}, {"secure", port_of(other.address())}));
  CHECK(vain.wait_for("says {\"failed\"").find("EADDRINUSE") != std::string::npos);
}

TEST_CASE("cluster: what a worker of Node's cluster does wrong harms nobody") {
  if (!has_node()) return;
  const char* deed = GENERATE("garbage", "nonsense", "handle", "flood");
  CAPTURE(deed);
  Baton baton({"--dialect", "node-cluster", "--name", "asked", "-w", "2", "--", "node",
               script("node/cluster_faults.js"), deed});
  baton.workers();
  const std::string address = asked(baton);
  const pid_t faulty = baton.latest()[1];
  const pid_t sound = baton.latest()[2];
  const std::uint64_t memory = resident_memory(baton.pid());
  signal_process(open_pidfd(faulty), SIGUSR1);
  const std::string sign = std::string(deed) == "flood" ? "says \"flooded\"" : "says \"done\"";
  std::size_t answers = 0;
  while (!baton.program().read_until([&] { return baton.log_has(sign); }, Deadline(20ms)))
    answers += answering_pids(address, 1).size();
  CHECK((answers > 0 || std::string(deed) != "flood"));
  // The sanitizer keeps freed memory for a while.
  if (!programs::are_sanitized()) CHECK(resident_memory(baton.pid()) < memory + (std::uint64_t{48} << 20));
  CHECK(descriptors_of(baton.pid()).size() < 200);
  CHECK(exists(sound));
  CHECK(answering_pid(address) > 0);
  CHECK(baton.latest()[2] == sound);
  CHECK(baton.stop(SIGTERM) == "code 0");
}
