// Interop tests. Node programs that know nothing of baton, under the dialect node-cluster: their listen() is shared.
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <csignal>
#include <map>
#include <set>

#include "tests/interop/node.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/support/endpoint.hpp"
#include "tests/support/files.hpp"
#include "tests/support/harness.hpp"
#include "tests/support/proc.hpp"
#include "tests/support/programs.hpp"
#include "tests/support/traffic.hpp"

using namespace baton::test;

namespace {

using Words = std::vector<std::string>;

/// `flags`, and what program of cluster_program.js.
Words cluster(Words flags, const Words& program) {
  Words all{"--dialect", "node-cluster", "--name", "asked"};
  all.insert(all.end(), flags.begin(), flags.end());
  all.insert(all.end(), {"--", "node", script("cluster_program.js")});
  all.insert(all.end(), program.begin(), program.end());
  return all;
}

/// The how-manieth address that baton was asked for, from 1.
std::string asked(Baton& baton, std::size_t which = 1) {
  const std::string line = baton.program().wait_for(", for which worker", which).at(which - 1);
  const std::string_view begin = "listening on ";
  const std::size_t at = line.find(begin) + begin.size();
  return line.substr(at, line.find(", for which") - at);
}

std::set<pid_t> pids_of(Baton& baton) {
  const std::vector<pid_t> pids = baton.pids();
  return {pids.begin(), pids.end()};
}

/// Waits for the answer as such, on a connection that asks for its end.
pid_t ask(const std::string& address, const std::string& path) {
  Connection connection(address);
  connection.send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  return pid_in(connection.read_response());
}

std::string port_of(const std::string& address) {
  return address.substr(address.rfind(':') + 1);
}

}  // namespace

TEST_CASE("cluster: a plain Node program serves in every worker, on a port that baton binds and does not hold") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2"}, {"plain", "0"}));
  const std::set<pid_t> pids = pids_of(baton);
  const std::string address = asked(baton);
  CHECK(answering_pids(address, 2) == pids);
  CHECK(baton.program().wait_for(fmt::format("\"port\":{}", port_of(address)), 2).size() == 2);
  const Inodes listening = listening_sockets();
  CHECK(common_to(sockets_of(baton.pid()), listening) == control_listeners(baton.control()));
  const boost::json::object status = baton.status();
  CHECK(status.at("listeners").at(0).at("address").as_string() == address);
  CHECK(status.at("workers").at(1).at("listeners").at(0).as_string() == address);
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(is_refused(address));
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("cluster: auto takes node for a program that knows its cluster, and nothing else is listened on") {
  if (!has_node()) return;
  Program program({{programs::baton(), "-w", "1", "--", "node", script("cluster_program.js"), "primary"}, {}, {}, {}});
  CHECK(program.wait_for(" · listening ").find("listening where its workers ask · 1 worker") != std::string::npos);
  program.wait_for("dialect node-cluster, because node knows Node's cluster");
  CHECK(program.wait_for("\"primary\"").find(R"(says {"primary":false,"worker":true})") != std::string::npos);
  program.wait_for(" ready");
  // The name of its control socket.
  CHECK(program.lines_with("listening on ").size() == 1);
  program.signal(SIGTERM);
  CHECK(program.wait_for_end() == "code 0");
}

TEST_CASE("cluster: each policy: every worker gets connections of what it has asked for") {
  if (!has_node()) return;
  const char* policy = GENERATE("shared", "roundrobin", "leastconn");
  CAPTURE(policy);
  Baton baton(cluster({"-w", "3", "--policy", policy}, {"several", "0", "0"}));
  const std::set<pid_t> pids = pids_of(baton);
  for (const std::size_t which : {1U, 2U}) CHECK(answering_pids(asked(baton, which), 3) == pids);
  CHECK(asked(baton, 1) != asked(baton, 2));
  CHECK(baton.count(", for which worker") == 2);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("cluster: roundrobin is exact, and source keeps to one worker") {
  if (!has_node()) return;
  const bool is_exact = GENERATE(true, false);
  Baton baton(cluster({"-w", "3", "--policy", is_exact ? "roundrobin" : "source"}, {"plain", "0"}));
  baton.workers();
  std::map<pid_t, int> answers;
  for (int i = 0; i < 30; ++i) ++answers[answering_pid(asked(baton))];
  CHECK(answers.size() == (is_exact ? 3 : 1));
  for (const auto& [pid, count] : answers) CHECK(count == (is_exact ? 10 : 30));
}

TEST_CASE("cluster: leastconn goes by what workers have open, though Node's cluster tells nothing of it") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2", "--policy", "leastconn"}, {"plain", "0"}));
  baton.workers();
  const std::string address = asked(baton);
  // Four are held: two each. Those of one worker are closed, and it is that one's turn twice.
  std::map<pid_t, std::vector<std::unique_ptr<Connection>>> held;
  const auto hold = [&] {
    auto connection = std::make_unique<Connection>(address);
    connection->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const pid_t pid = pid_in(connection->read_response());
    held[pid].push_back(std::move(connection));
    return pid;
  };
  for (int i = 0; i < 4; ++i) hold();
  REQUIRE(held.size() == 2);
  CHECK(held.begin()->second.size() == 2);
  const pid_t freed = held.begin()->first;
  const std::size_t before = descriptors_of(freed).size();
  held.begin()->second.clear();
  REQUIRE(becomes_true([&] { return descriptors_of(freed).size() == before - 2; }));
  std::this_thread::sleep_for(11ms);  // the master looks at most every 10 ms, and nothing shows whether it has
  CHECK(hold() == freed);
  CHECK(hold() == freed);
}

TEST_CASE("cluster: a worker that turns a connection away loses it to another") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2", "--policy", "roundrobin"}, {"limited"}));
  baton.workers();
  const std::string address = asked(baton);
  Connection first(address);
  first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const pid_t busy = pid_in(first.read_response());
  for (int i = 0; i < 6; ++i) CHECK(ask(address, "/") != busy);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("cluster: a Unix socket that a program asks for") {
  if (!has_node()) return;
  const Directory directory;
  const std::string path = directory / "x.sock";
  const char* policy = GENERATE("shared", "roundrobin");
  Baton baton(cluster({"-w", "2", "--policy", policy}, {"path", path}));
  const std::set<pid_t> pids = pids_of(baton);
  CHECK(answering_pids("unix:" + path, 2) == pids);
  reload(baton);
  CHECK(answering_pids("unix:" + path, 2).size() == 2);
  CHECK(baton.stop(SIGTERM) == "code 0");
  struct stat found {};
  CHECK(::lstat(path.c_str(), &found) == -1);
}

TEST_CASE("cluster: with --listen a program's port is that one, whatever it asks for") {
  if (!has_node()) return;
  const char* policy = GENERATE("shared", "roundrobin", "reuseport");
  CAPTURE(policy);
  Baton baton(cluster({"-w", "2", "-l", "127.0.0.1:0", "--policy", policy}, {"plain", "1"}));
  CHECK(answering_pids(baton.address(), 2) == pids_of(baton));
  CHECK(baton.count(", for which worker") == 0);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("cluster: with several --listen each of a program's ports is another, and one too many shares") {
  if (!has_node()) return;
  Baton baton(cluster({"-w", "2", "-l", "127.0.0.1:0", "-l", "127.0.0.1:0"}, {"several", "1", "2", "3"}));
  const std::set<pid_t> pids = pids_of(baton);
  for (const std::string& each : baton.addresses()) CHECK(answering_pids(each, 2) == pids);
  CHECK(baton.count("127.0.0.1:3 shares the listener 127.0.0.1:") == 1);
}

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

TEST_CASE("cluster: a program that never listens is told what it lacks, and may say that it is ready") {
  if (!has_node()) return;
  const Words flags{"--dialect", "node-cluster", "-w", "1", "--ready-timeout", "1s", "--", "node", "-e"};
  Words silent = flags;
  silent.push_back("setInterval(() => {}, 1000)");
  Baton baton(silent);
  CHECK(baton.wait_for("was not ready within").find("it listens on nothing") != std::string::npos);
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
  Baton baton(
      {"--dialect", "node-cluster", "--name", "asked", "-w", "2", "--", "node", script("cluster_villain.js"), deed});
  baton.workers();
  const std::string address = asked(baton);
  const pid_t villain = baton.latest()[1];
  const pid_t sound = baton.latest()[2];
  const std::uint64_t memory = resident_memory(baton.pid());
  signal_process(open_pidfd(villain), SIGUSR1);
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
