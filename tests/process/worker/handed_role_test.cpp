// Process tests. The embedded worker under a master in the test's own hands that hands it connections.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <vector>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/fake_master.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;
using baton::Fd;

namespace {

std::string connections_line(std::size_t count) {
  return fmt::format(R"({{"cmd":"NODE_BATON_CONNECTIONS","count":{},"msg":"server"}})", count);
}
std::string taken_line(std::size_t count) {
  return fmt::format(R"({{"cmd":"NODE_BATON_TAKEN","count":{}}})", count);
}
std::string closed_line(std::size_t count) {
  return fmt::format(R"({{"cmd":"NODE_BATON_CLOSED","count":{}}})", count);
}

void greet(FakeMaster& master, bool wants_closes = false) {
  master.send(fmt::format(R"({{"cmd":"NODE_BATON_CONNECTIONS","count":0,"closes":{}}})", wants_closes));
  CHECK(master.read_line() == taken_line(0));
  CHECK(master.read_line() == "\"ready\"");
}

/// What a master has accepted, and the clients' ends.
struct AcceptedConnections {
  explicit AcceptedConnections(int count) {
    for (int i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<Connection>(listener.address));
      sockets.emplace_back(
          baton::check(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept4"));
    }
  }
  [[nodiscard]] std::vector<int> numbers() const {
    std::vector<int> found;
    for (const Fd& each : sockets) found.push_back(each.get());
    return found;
  }
  LoopbackListener listener;
  std::vector<std::unique_ptr<Connection>> clients;
  std::vector<Fd> sockets;
};

std::size_t descriptors(FakeMaster& master) {
  return descriptors_of(master.worker().pid()).size();
}

}  // namespace

TEST_CASE("handed worker: greeted, it is ready, and answers many connections of one message") {
  FakeMaster master(debug_log);
  greet(master);
  const std::size_t before = descriptors(master);
  const int count = GENERATE(1, 2, 100, 253);
  CAPTURE(count);
  AcceptedConnections accepted(count);
  master.send(connections_line(static_cast<std::size_t>(count)), accepted.numbers());
  CHECK(master.read_line() == taken_line(static_cast<std::size_t>(count)));
  for (const auto& each : accepted.clients) each->send(plain_request);
  for (const auto& each : accepted.clients) CHECK(pid_in(each->read_response()) == master.worker().pid());
  accepted.sockets.clear();
  accepted.clients.clear();
  CHECK(becomes_true([&] { return descriptors(master) == before; }));
  CHECK_FALSE(master.has_answer());
}

TEST_CASE("handed worker: connections without a greeting are served, and make it ready") {
  FakeMaster master;
  AcceptedConnections accepted(2);
  master.send(connections_line(2), accepted.numbers());
  CHECK(master.read_line() == taken_line(2));
  CHECK(master.read_line() == "\"ready\"");
  for (const auto& each : accepted.clients) {
    each->send(plain_request);
    CHECK(pid_in(each->read_response()) == master.worker().pid());
  }
}

TEST_CASE("handed worker: it ends a connection for its client though the master still holds it") {
  FakeMaster master;
  greet(master);
  AcceptedConnections accepted(1);
  master.send(connections_line(1), accepted.numbers());
  CHECK(master.read_line() == taken_line(1));
  accepted.clients.front()->send(last_request);
  CHECK(pid_in(accepted.clients.front()->read_response()) == master.worker().pid());
  CHECK(accepted.clients.front()->read_to_end().empty());
}

TEST_CASE("handed worker: asked to, it tells of closes, together") {
  FakeMaster master;
  greet(master, true);
  AcceptedConnections accepted(3);
  master.send(connections_line(3), accepted.numbers());
  CHECK(master.read_line() == taken_line(3));
  accepted.sockets.clear();
  std::size_t told = 0;
  SECTION("as their clients go") {
    for (std::size_t i = 0; i < 3; ++i) {
      accepted.clients[i].reset();
      CHECK(master.read_line() == closed_line(1));
    }
  }
  SECTION("in one line for one turn") {
    // Stopped, it sees all three at once.
    ::kill(master.worker().pid(), SIGSTOP);
    accepted.clients.clear();
    ::kill(master.worker().pid(), SIGCONT);
    while (told < 3) {
      const std::string line = master.read_line();
      for (const std::size_t each : {1U, 2U, 3U})
        if (line == closed_line(each)) told += each;
      REQUIRE(line.find("CLOSED") != std::string::npos);
    }
    CHECK(told == 3);
  }
  CHECK_FALSE(master.has_answer());
}

TEST_CASE("handed worker: at its limit of connections it takes those that fit") {
  FakeMaster master({"--max-connections=3"});
  greet(master);
  AcceptedConnections accepted(5);
  master.send(connections_line(5), accepted.numbers());
  CHECK(master.read_line() == taken_line(3));
  for (int i = 0; i < 3; ++i) {
    accepted.clients.at(static_cast<std::size_t>(i))->send(plain_request);
    CHECK(pid_in(accepted.clients.at(static_cast<std::size_t>(i))->read_response()) == master.worker().pid());
  }
  // The others are as they were: another worker can have them.
  CHECK_FALSE(accepted.clients[3]->is_readable_within(20));
  accepted.clients[0].reset();
  accepted.sockets[0].reset();
  master.send(connections_line(2), {accepted.sockets[3].get(), accepted.sockets[4].get()});
  const std::string answer = master.read_line();
  CHECK(answer == taken_line(1));
}

TEST_CASE("handed worker: at its limit of open files it says how many it got") {
  FakeMaster master;
  greet(master);
  const auto taken = descriptors_of(master.worker().pid());
  int next = 0;
  for (int room = 0; room < 4; ++next)
    if (!taken.contains(next)) ++room;
  const rlimit limit{static_cast<rlim_t>(next), static_cast<rlim_t>(next)};
  REQUIRE(::prlimit(master.worker().pid(), RLIMIT_NOFILE, &limit, nullptr) == 0);
  AcceptedConnections accepted(10);
  master.send(connections_line(10), accepted.numbers());
  CHECK(master.read_line() == taken_line(4));
  for (std::size_t i = 0; i < 4; ++i) {
    accepted.clients[i]->send(plain_request);
    CHECK(pid_in(accepted.clients[i]->read_response()) == master.worker().pid());
  }
  CHECK_FALSE(accepted.clients[4]->is_readable_within(20));
}

TEST_CASE("handed worker: while it drains it answers what still comes, and closes") {
  FakeMaster master(debug_log);
  greet(master);
  AcceptedConnections first(1);
  master.send(connections_line(1), first.numbers());
  CHECK(master.read_line() == taken_line(1));
  first.clients.front()->send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n12");
  CHECK(first.clients.front()->read_response().status == 100);
  master.worker().signal(SIGTERM);
  master.worker().wait_for("draining, 1 connections");
  AcceptedConnections late(2);
  for (const auto& each : late.clients) each->send(plain_request);
  master.send(connections_line(2), late.numbers());
  CHECK(master.read_line() == taken_line(2));
  for (const auto& each : late.clients) {
    const Response response = each->read_response();
    CHECK(pid_in(response) == master.worker().pid());
    CHECK(response.fields.at("connection") == "close");
  }
  first.clients.front()->send("34");
  CHECK(pid_in(first.clients.front()->read_response()) == master.worker().pid());
  CHECK(master.worker().wait_for_end() == "code 0");
}

TEST_CASE("handed worker: what is no connection, and counts that are wrong, do no harm") {
  FakeMaster master(debug_log);
  greet(master);
  const std::size_t before = descriptors(master);
  master.send(connections_line(5));
  CHECK(master.read_line() == taken_line(0));
  master.send(R"({"cmd":"NODE_BATON_CONNECTIONS"})");
  CHECK(master.read_line() == taken_line(0));
  master.send(R"({"cmd":"NODE_BATON_CONNECTIONS","count":-1,"closes":7})", {STDERR_FILENO});
  CHECK(master.read_line() == taken_line(1));
  const Fd file{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const LoopbackListener listener;
  master.send(connections_line(2), {file.get(), listener.socket.get()});
  CHECK(master.read_line() == taken_line(2));
  for (const char* line : {R"({"cmd":"NODE_BATON_TAKEN","count":1})", R"({"cmd":"NODE_BATON_CLOSED","count":1})",
                           R"({"cmd":"NODE_SOCKET_GET_COUNT","key":"baton"})"})
    master.send(line);
  master.wait_until_heard();
  CHECK_FALSE(master.has_answer());
  AcceptedConnections accepted(1);
  master.send(connections_line(1), accepted.numbers());
  CHECK(master.read_line() == taken_line(1));
  accepted.clients.front()->send(last_request);
  CHECK(pid_in(accepted.clients.front()->read_response()) == master.worker().pid());
  CHECK(accepted.clients.front()->read_to_end().empty());
  accepted.sockets.clear();
  // A listener and a terminal are held like a silent client's connection, until the time for its request is over.
  CHECK(becomes_true([&] { return descriptors(master) <= before + 2; }));
}
