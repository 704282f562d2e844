// Unit tests of the messages: their bytes, and who may send them when.
#include "common/protocol.hpp"

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "tests/support/catch/catch.hpp"

namespace baton::protocol {
namespace {

Message decoded(std::string_view line) {
  return decode(boost::json::parse(boost::json::string_view(line.data(), line.size())));
}

bool is_for_handle(std::string_view line) {
  return cargo(boost::json::parse(boost::json::string_view(line.data(), line.size()))) == Cargo::handle;
}

}  // namespace

TEST_CASE("our lines are Node's, byte for byte") {
  CHECK(listener_line() == R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"})");
  CHECK(handle_ack_line() == R"({"cmd":"NODE_HANDLE_ACK"})");
  CHECK(handle_nack_line() == R"({"cmd":"NODE_HANDLE_NACK"})");
  CHECK(ready_line() == R"("ready")");
}

TEST_CASE("a withdrawal names a socket, whatever else it says") {
  CHECK(withdraw_line(4711) == R"({"cmd":"NODE_BATON_WITHDRAW","socket":4711})");
  CHECK(decoded(withdraw_line(4711)).kind == Kind::withdraw);
  CHECK(decoded(withdraw_line(4711)).number == 4711);
  constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
  CHECK(decoded(withdraw_line(largest)).number == largest);
  for (const char* socket : {"-1", "1.5", "\"7\"", "null", "[7]", "1e99"}) {
    CAPTURE(socket);
    const Message message = decoded(std::string(R"({"cmd":"NODE_BATON_WITHDRAW","socket":)") + socket + "}");
    CHECK(message.kind == Kind::withdraw);
    CHECK_FALSE(message.number);
  }
  CHECK_FALSE(decoded(R"({"cmd":"NODE_BATON_WITHDRAW"})").number);
}

TEST_CASE("our lines decode to what they are") {
  CHECK(decoded(listener_line()).kind == Kind::handle);
  CHECK(decoded(listener_line()).detail == listener_type);
  CHECK(decoded(handle_ack_line()).kind == Kind::handle_ack);
  CHECK(decoded(handle_nack_line()).kind == Kind::handle_nack);
  CHECK(decoded(ready_line()).kind == Kind::ready);
}

TEST_CASE("a scoreboard has a slot, and what is no number is none") {
  CHECK(is_for_handle(scoreboard_line(7)));
  CHECK(decoded(scoreboard_line(7)).kind == Kind::scoreboard);
  CHECK(decoded(scoreboard_line(7)).number == 7);
  for (const char* slot : {"-1", "1.5", "1e300", "\"7\"", "null", "[]", "99999999999999999999"}) {
    CAPTURE(slot);
    const std::string line = std::string(R"({"cmd":"NODE_BATON_SCOREBOARD","slot":)") + slot + "}";
    CHECK(decoded(line).kind == Kind::scoreboard);
    CHECK_FALSE(decoded(line).number);
  }
  CHECK_FALSE(decoded(R"({"cmd":"NODE_BATON_SCOREBOARD"})").number);
}

TEST_CASE("a hello is a worker's to say until it drains") {
  CHECK(hello_line() == R"({"cmd":"NODE_BATON_HELLO"})");
  CHECK(decoded(hello_line()).kind == Kind::hello);
  CHECK_FALSE(is_for_handle(hello_line()));
  CHECK(name(Kind::hello) == "hello");
}

TEST_CASE("a listener comes with its name, where that is a text") {
  CHECK(decoded(listener_line("api")).name == "api");
  CHECK(decoded(R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":{"name":"api"}})").name.empty());
  CHECK(decoded(R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":)"
                R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"api"}})")
            .name == "api");
}

TEST_CASE("a glance is the master's to ask for, at any time") {
  CHECK(decoded(glance_line()).kind == Kind::glance);
  CHECK_FALSE(is_for_handle(glance_line()));
  CHECK(is_legal(Kind::glance, Sender::master, Phase::draining));
  CHECK_FALSE(is_legal(Kind::glance, Sender::worker, Phase::serving));
  CHECK(is_legal(Kind::scoreboard, Sender::master, Phase::starting));
  CHECK_FALSE(is_legal(Kind::scoreboard, Sender::master, Phase::serving));
}

TEST_CASE("a connection of Node's is a handle of its type") {
  const Message message = decoded(R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":1},"key":"4:::1337"})");
  CHECK(message.kind == Kind::handle);
  CHECK(message.detail == connection_type);
}

TEST_CASE("a retransmission of Node's is unwrapped") {
  CHECK(decoded(R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":)"
                R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"x","key":"k"}})")
            .detail == connection_type);
  SECTION("however deep") {
    CHECK(decoded(R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_HANDLE","type":"net.Native","msg":)"
                  R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"}}})")
              .detail == listener_type);
  }
  SECTION("but a net.Native with another message stays what it is") {
    for (const char* line : {R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","ack":1}})",
                             R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":"NODE_HANDLE"})",
                             R"({"cmd":"NODE_HANDLE","type":"net.Native"})"}) {
      CAPTURE(line);
      CHECK(decoded(line).kind == Kind::handle);
      CHECK(decoded(line).detail == "net.Native");
    }
  }
}

TEST_CASE("a handle without a type is a handle of none") {
  CHECK(decoded(R"({"cmd":"NODE_HANDLE"})").detail.empty());
  CHECK(decoded(R"({"cmd":"NODE_HANDLE","type":7})").detail.empty());
}

TEST_CASE("Node's other messages are internal, and kept") {
  for (const char* line : {R"({"cmd":"NODE_DEBUG_ENABLED"})", R"({"cmd":"NODE_SOCKET_ALL_CLOSED","key":"k"})",
                           R"({"cmd":"NODE_"})", R"({"cmd":"NODE_HANDLE_"})"}) {
    CAPTURE(line);
    const Message message = decoded(line);
    CHECK(message.kind == Kind::internal);
    CHECK(boost::json::serialize(message.value) == line);
  }
}

TEST_CASE("anything else is a plain message, and kept") {
  for (const char* line :
       {R"("server")", R"("Ready")", R"(null)", R"(7)", R"([{"cmd":"NODE_HANDLE"}])", R"({"cmd":"node_handle"})",
        R"({"cmd":{"cmd":"NODE_HANDLE"}})", R"({"cmd":null})", R"({"CMD":"NODE_HANDLE"})", R"({"cmd":"XNODE_"})",
        R"({})", R"("NODE_HANDLE_ACK")", R"({"msg":"ready"})"}) {
    CAPTURE(line);
    const Message message = decoded(line);
    CHECK(message.kind == Kind::plain);
    CHECK(boost::json::serialize(message.value) == line);
    CHECK_FALSE(is_for_handle(line));
  }
}

TEST_CASE("only a NODE_HANDLE carries a descriptor") {
  CHECK(is_for_handle(listener_line()));
  CHECK(is_for_handle(R"({"type":"net.Native","msg":{},"cmd":"NODE_HANDLE"})"));
  CHECK_FALSE(is_for_handle(handle_ack_line()));
  CHECK_FALSE(is_for_handle(handle_nack_line()));
  CHECK_FALSE(is_for_handle(ready_line()));
}

TEST_CASE("who may send what, and when") {
  struct Row {
    Kind kind;
    std::array<bool, 3> from_master;  // starting, serving, draining
    std::array<bool, 3> from_worker;
  };
  constexpr std::array<bool, 3> always{true, true, true};
  constexpr std::array<bool, 3> never{false, false, false};
  const std::array table{
      Row{Kind::handle, {true, true, false}, never},
      Row{Kind::hello, never, {true, true, false}},
      Row{Kind::handle_ack, never, always},
      Row{Kind::handle_nack, never, always},
      Row{Kind::ready, never, {true, true, true}},
      Row{Kind::withdraw, always, never},
      Row{Kind::connections, always, never},
      Row{Kind::taken, never, always},
      Row{Kind::closed, never, always},
      Row{Kind::open, never, always},
      Row{Kind::all_closed, never, always},
      Row{Kind::plain, always, always},
      Row{Kind::internal, always, always},
  };
  constexpr std::array phases{Phase::starting, Phase::serving, Phase::draining};
  for (const Row& row : table) {
    for (std::size_t i = 0; i < phases.size(); ++i) {
      CAPTURE(name(row.kind), i);
      CHECK(is_legal(row.kind, Sender::master, phases.at(i)) == row.from_master.at(i));
      CHECK(is_legal(row.kind, Sender::worker, phases.at(i)) == row.from_worker.at(i));
    }
  }
}

TEST_CASE("the lines of connections, byte for byte") {
  CHECK(greeting_line(false) == R"({"cmd":"NODE_BATON_CONNECTIONS","count":0,"closes":false})");
  CHECK(greeting_line(true) == R"({"cmd":"NODE_BATON_CONNECTIONS","count":0,"closes":true})");
  CHECK(connections_line(3, quoted("api")) == R"({"cmd":"NODE_BATON_CONNECTIONS","count":3,"msg":"api"})");
  CHECK(connections_line(1, quoted("\"\n")) == R"({"cmd":"NODE_BATON_CONNECTIONS","count":1,"msg":"\"\n"})");
  CHECK(taken_line(253) == R"({"cmd":"NODE_BATON_TAKEN","count":253})");
  CHECK(closed_line(7) == R"({"cmd":"NODE_BATON_CLOSED","count":7})");
  CHECK(connection_line("server", false) == R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"server"})");
  CHECK(connection_line("server", true) == R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"server","key":"baton"})");
  CHECK(ask_open_line() == R"({"cmd":"NODE_SOCKET_GET_COUNT","key":"baton"})");
  CHECK(ask_all_closed_line() == R"({"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":"baton"})");
  CHECK(probe_line() == R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"ready?"})");
}

TEST_CASE("the lines of connections decode to what they are") {
  CHECK(decoded(greeting_line(false)).kind == Kind::connections);
  CHECK_FALSE(decoded(greeting_line(false)).wants_closes);
  CHECK(decoded(greeting_line(true)).wants_closes);
  CHECK(decoded(connections_line(3, quoted("api"))).number == 3U);
  CHECK(decoded(taken_line(5)).kind == Kind::taken);
  CHECK(decoded(taken_line(5)).number == 5U);
  CHECK(decoded(closed_line(6)).kind == Kind::closed);
  CHECK(decoded(closed_line(6)).number == 6U);
  CHECK(decoded(connection_line("server", true)).detail == connection_type);
  CHECK(decoded(ask_open_line()).kind == Kind::internal);  // Node's business, and of no use to our worker
  CHECK(decoded(ask_all_closed_line()).kind == Kind::internal);
  CHECK(decoded(R"({"cmd":"NODE_SOCKET_ALL_CLOSED","key":"baton"})").kind == Kind::all_closed);
  const Message open = decoded(R"({"cmd":"NODE_SOCKET_COUNT","key":"baton","count":4})");
  CHECK(open.kind == Kind::open);
  CHECK(open.number == 4U);
  CHECK(decoded(R"({"cmd":"NODE_SOCKET_COUNT","key":"another","count":4})").kind == Kind::internal);
}

TEST_CASE("connections bring descriptors, and a greeting brings none") {
  const auto cargo_of = [](const std::string& line) { return cargo(boost::json::parse(line)); };
  CHECK(cargo_of(connections_line(3, quoted("api"))) == Cargo::connections);
  CHECK(cargo_of(R"({"cmd":"NODE_BATON_CONNECTIONS"})") == Cargo::connections);
  CHECK(cargo_of(greeting_line(true)) == Cargo::none);
}

TEST_CASE("a count that is none is nothing") {
  for (const char* line :
       {R"({"cmd":"NODE_BATON_TAKEN"})", R"({"cmd":"NODE_BATON_TAKEN","count":-1})",
        R"({"cmd":"NODE_BATON_TAKEN","count":"1"})", R"({"cmd":"NODE_BATON_TAKEN","count":1.5})",
        R"({"cmd":"NODE_BATON_TAKEN","count":99999999999999999999})", R"({"cmd":"NODE_BATON_TAKEN","count":[1]})"}) {
    CAPTURE(line);
    CHECK(decoded(line).kind == Kind::taken);
    CHECK_FALSE(decoded(line).number);
  }
}

TEST_CASE("every kind has its name") {
  CHECK(name(Kind::connections) == "connections");
  CHECK(name(Kind::taken) == "taken");
  CHECK(name(Kind::closed) == "closed");
  CHECK(name(Kind::open) == "open");
  CHECK(name(Kind::all_closed) == "all_closed");
  CHECK(name(Kind::handle) == "handle");
  CHECK(name(Kind::handle_ack) == "handle_ack");
  CHECK(name(Kind::handle_nack) == "handle_nack");
  CHECK(name(Kind::ready) == "ready");
  CHECK(name(Kind::withdraw) == "withdraw");
  CHECK(name(Kind::plain) == "plain");
  CHECK(name(Kind::internal) == "internal");
}

}  // namespace baton::protocol
