// Interop tests. Node programs that know nothing of baton, under the dialect node-cluster: their listen() is shared.
#include <fmt/format.h>
#include <sys/stat.h>

#include <csignal>
#include <map>
#include <set>

#include "tests/interop/node/cluster/cluster.hpp"
#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

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
  Program program(
      {{programs::baton(), "-w", "1", "--", "node", script("node/cluster_program.js"), "primary"}, {}, {}, {}});
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
