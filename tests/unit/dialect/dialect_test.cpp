// Unit tests. Which dialect a command is taken to speak; and an acknowledgement of Einhorn's.
#include "master/dialect/dialect.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/error.hpp"
#include "master/dialect/ack_socket.hpp"
#include "master/settings/options.hpp"
#include "tests/support/catch/catch.hpp"

using namespace baton;

namespace {

Options parsed(std::vector<std::string> arguments) {
  return parse_options(std::move(arguments));
}

std::string dialect_refusal(const std::vector<std::string>& arguments) {
  try {
    static_cast<void>(parse_options(arguments));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

Fd connect_to(const AckSocket& acks) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  acks.path().copy(address.sun_path, sizeof address.sun_path);
  Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

void send(const Fd& socket, std::string_view text) {
  REQUIRE(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("only workers that inherit their listeners can have them non-blocking") {
  CHECK(parsed({"--nonblocking", "--", "nginx"}).process.nonblocking);
  CHECK(dialect_refusal({"--nonblocking"}).find("not for the embedded worker") != std::string::npos);
  CHECK(dialect_refusal({"--nonblocking", "--", "node", "app.js"}).find("not for node-cluster") != std::string::npos);
}

TEST_CASE("a program that is none of Node's is taken to know systemd's way, and the reason is kept") {
  const Options options = parsed({"--", "/usr/bin/uvicorn", "app:app"});
  CHECK(options.dialect == Dialect::listen_fds);
  CHECK(options.dialect_reason == "uvicorn is not node or bun");
  CHECK(options.ready == Readiness::accepts);
  CHECK(parsed({"--", "node", "x.js", "--fd", "{fd}"}).dialect == Dialect::listen_fds);
}

TEST_CASE("a dialect that was asked for needs no reason, and baton's own workers have theirs") {
  CHECK(parsed({"--dialect", "channel", "--", "x"}).dialect == Dialect::channel);
  CHECK(parsed({"--dialect", "einhorn", "--", "x"}).dialect == Dialect::einhorn);
  CHECK(parsed({"--dialect", "server-starter", "--", "x"}).dialect == Dialect::server_starter);
  CHECK(parsed({"--dialect", "channel", "--", "x"}).dialect_reason.empty());
  CHECK(parsed({}).dialect == Dialect::channel);
  CHECK(parsed({"--dialect", "auto"}).dialect_reason.empty());
}

TEST_CASE("what a dialect can't have is refused, with the reason") {
  CHECK(dialect_refusal({"--dialect", "listen-fds"}).find("is for a command's workers") != std::string::npos);
  CHECK(dialect_refusal({"--ready", "handle", "--", "sh"}).find("from the start") != std::string::npos);
  CHECK(dialect_refusal({"--dialect", "channel", "--", "sh", "{fd}"}).find("--dialect listen-fds") !=
        std::string::npos);
  CHECK(dialect_refusal({"--dialect", "morse"})
            .find("auto, channel, node-cluster, listen-fds, einhorn, server-starter") != std::string::npos);
}

TEST_CASE("an acknowledgement, as Einhorn's clients write it") {
  CHECK(is_acknowledgement(R"({"command":"worker:ack", "pid":77})"));
  CHECK(is_acknowledgement("---%0Acommand: worker:ack%0Apid: 77%0A"));
  CHECK(is_acknowledgement(R"({'command': 'worker:ack'})"));
  CHECK_FALSE(is_acknowledgement(R"({"command":"worker:state"})"));
  CHECK_FALSE(is_acknowledgement("worker:ack command"));
  CHECK_FALSE(is_acknowledgement("command worker:ack"));
  CHECK_FALSE(is_acknowledgement(""));
}

TEST_CASE("an acknowledgement may come in pieces, and after connections that say something else") {
  AckSocket acks(::geteuid());
  const Fd silent = connect_to(acks);
  const Fd wrong = connect_to(acks);
  const Fd right = connect_to(acks);
  send(wrong, "help\n");
  send(right, R"({"command":"work)");
  CHECK_FALSE(acks.receive().acknowledgement);
  CHECK_FALSE(acks.receive().acknowledgement);
  send(right, "er:ack\"}\n");
  CHECK(acks.receive().acknowledgement);
  CHECK_FALSE(acks.receive().acknowledgement);
}

TEST_CASE("who connects often, or talks without end, is closed") {
  AckSocket acks(::geteuid());
  std::vector<Fd> many;
  for (int i = 0; i < 8; ++i) many.push_back(connect_to(acks));
  CHECK_FALSE(acks.receive().acknowledgement);
  const Fd ninth = connect_to(acks);
  CHECK_FALSE(acks.receive().acknowledgement);
  char byte = 0;
  CHECK(::recv(ninth.get(), &byte, 1, MSG_DONTWAIT) == 0);
  send(many.front(), std::string(5000, 'x'));
  CHECK_FALSE(acks.receive().acknowledgement);
  CHECK_FALSE(acks.receive().acknowledgement);
  CHECK(::recv(many.front().get(), &byte, 1, MSG_DONTWAIT) <= 0);
  CHECK(errno != EAGAIN);
}

TEST_CASE("the socket's file goes with it") {
  std::string path;
  {
    const AckSocket acks(::geteuid());
    path = acks.path();
    CHECK(::access(path.c_str(), F_OK) == 0);
  }
  CHECK(::access(path.c_str(), F_OK) == -1);
}

TEST_CASE("Einhorn's workers are asked to finish by its signal, unless another is wanted") {
  CHECK(parsed({"--dialect", "einhorn", "--", "x"}).process.asks_to_stop() == SIGUSR2);
  CHECK(parsed({"--dialect", "einhorn", "--stop-signal", "TERM", "--", "x"}).process.asks_to_stop() == SIGTERM);
  CHECK(parsed({"--dialect", "listen-fds", "--", "x"}).process.asks_to_stop() == SIGTERM);
}
