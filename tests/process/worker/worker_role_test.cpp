// Process tests. The embedded worker under a master that is not ours, and may be wrong.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <map>
#include <memory>

#include "common/protocol.hpp"
#include "common/socket_cookie.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/fake_master.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;
using baton::Fd;

namespace {

const std::string listener_line = R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"})";
const std::string connection_line = R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"socket","key":"a"})";
const std::string ack = R"({"cmd":"NODE_HANDLE_ACK"})";
const std::string nack = R"({"cmd":"NODE_HANDLE_NACK"})";

/// Gives the worker a listener, in the very exchange of Node's child.send('server', server).
void hand_over(FakeMaster& master, const LoopbackListener& listener) {
  master.send(listener_line, {listener.socket.get()});
  CHECK(master.read_line() == ack);
  CHECK(master.read_line() == "\"ready\"");
}

/// A connected pair of TCP sockets: what a master has accepted, and the client's end.
struct AcceptedConnection {
  AcceptedConnection() {
    const LoopbackListener listener;
    client = std::make_unique<Connection>(listener.address);
    socket = Fd{baton::check(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept4")};
  }
  Fd socket;
  std::unique_ptr<Connection> client;
};

}  // namespace

TEST_CASE("worker: takes a listener, says ready, and answers its pid") {
  const LoopbackListener listener;
  FakeMaster master;
  hand_over(master, listener);
  CHECK(answering_pid(listener.address) == master.worker().pid());
}

TEST_CASE("worker: a listener that is withdrawn is served no longer, and the others are") {
  const LoopbackListener own;
  const LoopbackListener lent;
  FakeMaster master(debug_log);
  hand_over(master, own);
  const auto before = descriptors_of(master.worker().pid()).size();
  for (int round = 0; round < 3; ++round) {
    master.send(listener_line, {lent.socket.get()});
    CHECK(master.read_line() == ack);
    CHECK(answering_pid(lent.address) == master.worker().pid());
    master.send(baton::protocol::withdraw_line(baton::socket_cookie(lent.socket)));
    master.wait_until_heard();
    const Connection waiting(lent.address);
    CHECK(becomes_true([&] { return descriptors_of(master.worker().pid()).size() == before; }));
    CHECK(answering_pid(own.address) == master.worker().pid());
    // Still in the queue, which is the master's.
    CHECK(Fd{::accept4(lent.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)}.is_open());
  }
}

TEST_CASE("worker: a connection for which it was woken alone is its own, though the listener is withdrawn meanwhile") {
  const LoopbackListener own;
  const LoopbackListener lent;
  FakeMaster master(debug_log);
  hand_over(master, own);
  master.send(listener_line, {lent.socket.get()});
  CHECK(master.read_line() == ack);
  master.wait_until_heard();
  const Fd process = open_pidfd(master.worker().pid());
  signal_process(process, SIGSTOP);
  REQUIRE(becomes_true([&] { return status_of(master.worker().pid(), "State").starts_with('T'); }));
  master.send(baton::protocol::withdraw_line(baton::socket_cookie(lent.socket)));
  Connection connection(lent.address);
  connection.send(plain_request);
  signal_process(process, SIGCONT);
  CHECK(pid_in(connection.read_response()) == master.worker().pid());
}

TEST_CASE("worker: a withdrawal of what it does not have changes nothing") {
  const LoopbackListener listener;
  FakeMaster master(debug_log);
  for (const char* socket : {"0", "18446744073709551615", "-1", "\"x\""})
    master.send(std::string(R"({"cmd":"NODE_BATON_WITHDRAW","socket":)") + socket + "}");
  hand_over(master, listener);
  master.send(R"({"cmd":"NODE_BATON_WITHDRAW"})");
  master.wait_until_heard();
  CHECK(answering_pid(listener.address) == master.worker().pid());
}

TEST_CASE("worker: a handle without its descriptor is asked for again") {
  const LoopbackListener listener;
  FakeMaster master(debug_log);
  master.wait_until_heard();
  const auto before = descriptors_of(master.worker().pid()).size();
  for (int i = 0; i < 3; ++i) {
    master.send(listener_line);
    CHECK(master.read_line() == nack);
  }
  CHECK(descriptors_of(master.worker().pid()).size() == before);
  hand_over(master, listener);
  CHECK(answering_pid(listener.address) == master.worker().pid());
  CHECK(descriptors_of(master.worker().pid()).size() == before + 1);
}

TEST_CASE("worker: a descriptor that is no listening socket is confirmed, closed, and complained of") {
  std::array<int, 2> pipe_ends{};
  REQUIRE(::pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
  const Fd reading{pipe_ends[0]};
  const Fd writing{pipe_ends[1]};
  const Fd unbound{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const Fd datagram{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const LoopbackListener listener;
  FakeMaster master(debug_log);
  master.wait_until_heard();
  const auto before = descriptors_of(master.worker().pid()).size();
  for (const int each : {reading.get(), unbound.get(), datagram.get(), STDERR_FILENO}) {
    master.send(listener_line, {each});
    CHECK(master.read_line() == ack);
    master.send(connection_line, {each});
    CHECK(master.read_line() == ack);
  }
  master.send(connection_line, {listener.socket.get()});  // a listener is no connection
  CHECK(master.read_line() == ack);
  master.send(R"({"cmd":"NODE_HANDLE","type":"dgram.Socket"})", {datagram.get()});
  CHECK(master.read_line() == ack);
  master.wait_until_heard();
  CHECK(master.worker().wait_for("is of no use here", 10).size() == 10);
  CHECK(descriptors_of(master.worker().pid()).size() == before);
  hand_over(master, listener);
  CHECK(answering_pid(listener.address) == master.worker().pid());
}

TEST_CASE("worker: of several descriptors in one message the first is taken and the others are closed") {
  const LoopbackListener listener;
  const LoopbackListener other;
  FakeMaster master(debug_log);
  master.wait_until_heard();
  const auto before = descriptors_of(master.worker().pid()).size();
  master.send(listener_line, {listener.socket.get(), other.socket.get(), STDERR_FILENO});
  CHECK(master.read_line() == ack);
  CHECK(master.read_line() == "\"ready\"");
  master.worker().wait_for("a message for one descriptor brought 3");
  CHECK(answering_pid(listener.address) == master.worker().pid());
  CHECK(descriptors_of(master.worker().pid()).size() == before + 1);
}

TEST_CASE("worker: descriptors with a message that needs none are closed") {
  FakeMaster master(debug_log);
  master.wait_until_heard();
  const auto before = descriptors_of(master.worker().pid()).size();
  for (int i = 0; i < 100; ++i) master.send(R"({"hello":"world"})", std::vector<int>(100, STDERR_FILENO));
  master.wait_until_heard();
  CHECK(descriptors_of(master.worker().pid()).size() == before);
}

TEST_CASE("worker: answers nobody asked for, Node's internal messages and garbage are survived, and not answered") {
  const LoopbackListener listener;
  FakeMaster master(debug_log);
  master.wait_until_heard();
  const auto before = descriptors_of(master.worker().pid()).size();
  master.send(ack);
  master.send(nack);
  master.send(R"({"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":"a"})");
  master.send(R"({"cmd":"NODE_CLUSTER","act":"disconnect"})");
  master.send_bytes("}{\n\n\n[1,\n\x01\xff\xfe\nnull\n5\n\"ready\"\n{\"cmd\":5}\n{\"cmd\":\"NODE_HANDLES\"}\n");
  master.wait_until_heard();
  CHECK(master.worker().wait_for("out of place here, is ignored", 2).size() == 2);
  CHECK(master.worker().wait_for("is not JSON", 3).size() == 3);
  CHECK_FALSE(master.has_answer());
  CHECK(descriptors_of(master.worker().pid()).size() == before);
  hand_over(master, listener);
  CHECK(answering_pid(listener.address) == master.worker().pid());
}

TEST_CASE("worker: a megabyte in one message, in pieces, is a message") {
  const LoopbackListener listener;
  FakeMaster master;
  const std::string large = "{\"text\":\"" + std::string(1 << 20, 'x') + "\"}\n";
  for (std::size_t at = 0; at < large.size(); at += 5000) master.send_bytes(large.substr(at, 5000));
  hand_over(master, listener);
  CHECK(answering_pid(listener.address) == master.worker().pid());
}

TEST_CASE("worker: a handle's line that comes in pieces keeps its descriptor") {
  const LoopbackListener listener;
  FakeMaster master;
  master.send_bytes("\"before\"\n");
  master.send_piece(listener_line.substr(0, 1), {listener.socket.get()});
  for (const char each : listener_line.substr(1) + "\n\"after\"\n") master.send_bytes(std::string(1, each));
  CHECK(master.read_line() == ack);
  CHECK(master.read_line() == "\"ready\"");
  CHECK(answering_pid(listener.address) == master.worker().pid());
}

TEST_CASE("worker: serves a connection that the master has accepted, and closes it for all its holders") {
  FakeMaster master(debug_log);
  master.wait_until_heard();
  const auto before = descriptors_of(master.worker().pid()).size();
  AcceptedConnection accepted;
  master.send(connection_line, {accepted.socket.get()});
  CHECK(master.read_line() == ack);
  accepted.client->send(plain_request);
  CHECK(pid_in(accepted.client->read_response()) == master.worker().pid());
  accepted.client->send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  CHECK(pid_in(accepted.client->read_response()) == master.worker().pid());
  CHECK(accepted.client->read_to_end().empty());  // though the test still holds the socket
  master.wait_until_heard();
  CHECK(descriptors_of(master.worker().pid()).size() == before);
}

TEST_CASE("worker: takes a connection in Node's retransmission, too") {
  FakeMaster master;
  AcceptedConnection accepted;
  master.send(R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":)" + connection_line + "}", {accepted.socket.get()});
  CHECK(master.read_line() == ack);
  accepted.client->send(plain_request);
  CHECK(pid_in(accepted.client->read_response()) == master.worker().pid());
}

TEST_CASE("worker: several listeners are served, and ready is said once") {
  const LoopbackListener one;
  const LoopbackListener two;
  FakeMaster master(debug_log);
  hand_over(master, one);
  master.send(listener_line, {two.socket.get()});
  CHECK(master.read_line() == ack);
  master.wait_until_heard();
  CHECK_FALSE(master.has_answer());
  for (int i = 0; i < 5; ++i) {
    CHECK(answering_pid(one.address) == master.worker().pid());
    CHECK(answering_pid(two.address) == master.worker().pid());
  }
}

TEST_CASE("worker: the end of the channel ends it, once it has answered") {
  const LoopbackListener listener;
  FakeMaster master(debug_log);
  hand_over(master, listener);
  Connection connection(listener.address);
  connection.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n12");
  CHECK(connection.read_response().status == 100);
  master.end_channel();
  master.worker().wait_for("draining, 1 connections");
  connection.send("34");
  CHECK(pid_in(connection.read_response()) == master.worker().pid());
  CHECK(master.worker().wait_for_end() == "code 0");
}

TEST_CASE("worker: the end of the channel before anything was said ends it with code 0") {
  FakeMaster master;
  master.end_channel();
  CHECK(master.worker().wait_for_end() == "code 0");
  CHECK(master.worker().errors().empty());
}

TEST_CASE("worker: TERM, INT and QUIT end it, under any master") {
  const int number = GENERATE(SIGTERM, SIGINT, SIGQUIT);
  const LoopbackListener listener;
  FakeMaster master;
  hand_over(master, listener);
  master.worker().signal(number);
  CHECK(master.worker().wait_for_end() == "code 0");
}

TEST_CASE("worker: a master that never reads is served all the same") {
  constexpr int many = 5000;  // answers; some hundred fit into the socket
  const LoopbackListener listener;
  FakeMaster master({"--log-level", "error"});
  for (int i = 0; i < many; ++i) master.send(listener_line);
  master.send(listener_line, {listener.socket.get()});
  CHECK(answering_pid(listener.address) == master.worker().pid());
  std::map<std::string, int> answers;
  for (int i = 0; i < many + 2; ++i) ++answers[master.read_line()];
  CHECK(answers == std::map<std::string, int>{{nack, many}, {ack, 1}, {"\"ready\"", 1}});
  CHECK(answering_pid(listener.address) == master.worker().pid());
}

TEST_CASE("worker: without a channel that can be used it ends with code 2, and one line that says so") {
  const Fd not_a_socket{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  const std::vector<std::vector<std::string>> environments{
      {},
      {"NODE_CHANNEL_FD="},
      {"NODE_CHANNEL_FD=three"},
      {"NODE_CHANNEL_FD=-1"},
      {"NODE_CHANNEL_FD=1"},
      {"NODE_CHANNEL_FD=3x"},
      {"NODE_CHANNEL_FD=999"},
      {"NODE_CHANNEL_FD=99999999999999999999"},
      {"NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=advanced"},
      {"NODE_CHANNEL_FD=" + std::to_string(not_a_socket.get())},
  };
  for (const auto& each : environments) {
    CAPTURE(each);
    Program worker({{programs::baton(), "worker"}, each, {not_a_socket.get()}, {}});
    CHECK(worker.wait_for_end() == "code 2");
    CHECK(worker.lines().size() == 1);
    CHECK(worker.errors().starts_with("baton worker: "));
    CHECK(worker.errors().find("NODE_CHANNEL") != std::string::npos);
  }
}
