// Interop tests. baton's embedded worker under a Node master: fork(), send() of a listener and of connections.
#include <fmt/format.h>

#include <csignal>
#include <memory>
#include <set>

#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/programs.hpp"

using namespace baton::test;

namespace {

/// The Node master with its children, and where they answer.
class NodeMaster {
 public:
  NodeMaster(const std::string& what, std::size_t children)
      : program_(
            {{"node", script("node/fork_master.js"), what, programs::baton(), std::to_string(children)}, {}, {}, {}}) {
    constexpr std::string_view before = "all ready on ";
    const std::string line = program_.wait_for(before);
    address_ = line.substr(before.size());
    for (const std::string& each : program_.wait_for(" started", children))
      pids_.insert(std::stoi(each.substr(std::string_view("child ").size())));
  }

  [[nodiscard]] Program& program() { return program_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] const std::set<pid_t>& pids() const { return pids_; }

  /// Everyone leaves as they should: the children by the channel's end, then Node, which has nothing left to do.
  void disconnect() {
    program_.signal(SIGHUP);
    for (const pid_t each : pids_) program_.wait_for(fmt::format("child {} exited with 0 null", each));
    CHECK(program_.wait_for_end() == "code 0");
    CHECK(strays() == std::vector<std::string>{});
    CHECK(program_.errors().find("rror") == std::string::npos);
  }

 private:
  Program program_;
  std::string address_;
  std::set<pid_t> pids_;
};

}  // namespace

TEST_CASE("baton's worker serves the listener that a Node master sends, and says ready") {
  if (!has_node()) return;
  NodeMaster master("server", 1);
  master.program().wait_for("says \"ready\"");
  CHECK(answering_pids(master.address(), master.pids().size()) == master.pids());
  master.disconnect();
}

TEST_CASE("a plain message from a Node master disturbs nothing") {
  if (!has_node()) return;
  NodeMaster master("server", 1);
  master.program().signal(SIGUSR2);
  master.program().wait_for("from the master: {\"hello\":\"world\"}");
  CHECK(answering_pids(master.address(), master.pids().size()) == master.pids());
  master.disconnect();
}

TEST_CASE("two of baton's workers share a Node master's listener") {
  if (!has_node()) return;
  NodeMaster master("server", 2);
  CHECK(answering_pids(master.address(), master.pids().size()) == master.pids());
  master.disconnect();
}

TEST_CASE("baton's workers serve the connections that a Node master hands over") {
  if (!has_node()) return;
  NodeMaster master("socket", 2);
  CHECK(answering_pids(master.address(), master.pids().size()) == master.pids());

  // Kept connections, and requests that came before the hand-over.
  std::vector<std::unique_ptr<Connection>> kept;
  for (int i = 0; i < 20; ++i) {
    kept.push_back(std::make_unique<Connection>(master.address()));
    kept.back()->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  }
  for (int round = 0; round < 3; ++round)
    for (const auto& each : kept) {
      CHECK(master.pids().contains(pid_in(each->read_response())));
      each->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
  for (const auto& each : kept) CHECK(master.pids().contains(pid_in(each->read_response())));
  kept.clear();
  master.disconnect();
}

TEST_CASE("a Node master that dies takes baton's workers with it, once they have answered") {
  if (!has_node()) return;
  NodeMaster master("server", 1);
  const baton::Fd worker = open_pidfd(*master.pids().begin());
  Connection connection(master.address());
  connection.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n12");
  CHECK(connection.read_response().status == 100);
  master.program().signal(SIGKILL);
  CHECK(master.program().wait_for_end() == "signal 9");
  connection.send("34");
  CHECK(pid_in(connection.read_response()) == *master.pids().begin());
  CHECK(connection.read_to_end().empty());
  CHECK(has_ended(worker));
  CHECK(strays() == std::vector<std::string>{});
}
