// Unit tests of Node's cluster messages: their bytes as Node has them, and what others make of them.
#include "common/cluster_messages.hpp"

#include <boost/json/parse.hpp>
#include <string>

#include "common/protocol.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::protocol {
namespace {

boost::json::object object(std::string_view text) {
  return boost::json::parse(boost::json::string_view(text.data(), text.size())).as_object();
}

/// As Node 20 sends it for listen(1344), with one member more or another value.
boost::json::object question(std::string_view name = {}, const boost::json::value& value = nullptr) {
  boost::json::object message = object(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":1344,"addressType":4,)"
      R"("backlog":0,"seq":1})");
  if (!name.empty()) message[boost::json::string_view(name.data(), name.size())] = value;
  return message;
}

Query asked(std::string_view name = {}, const boost::json::value& value = nullptr) {
  return decode_query(question(name, value)).value();
}

}  // namespace

TEST_CASE("a question of Node's") {
  const Query query = asked();
  CHECK(query.seq == 1);
  CHECK(query.port == 1344);
  CHECK(query.type == "4");
  CHECK_FALSE(query.address);
  CHECK_FALSE(query.is_malformed);
  CHECK_FALSE(query.is_path());
  CHECK_FALSE(query.is_udp());
  CHECK(asked("address", "::1").address == "::1");
  CHECK(asked("addressType", "udp4").is_udp());
  CHECK(asked("flags", 1).is_ipv6_only);
  CHECK_FALSE(asked("flags", 2).is_ipv6_only);
  CHECK(asked("fd", 3).names_descriptor);
  CHECK_FALSE(asked("fd", -1).names_descriptor);
  CHECK(asked("data", "keys").data == boost::json::value("keys"));
  boost::json::object path = question("address", "/run/x.sock");
  path["port"] = path["addressType"] = -1;
  path["readableAll"] = true;
  CHECK(decode_query(path)->is_path());
  CHECK(decode_query(path)->is_readable_by_all);
  CHECK_FALSE(decode_query(path)->is_malformed);
}

TEST_CASE("a question that Node would not ask is known as such, and one without a number can't be answered") {
  for (const char* name : {"address", "port", "addressType", "flags", "fd", "index"})
    for (const boost::json::value& each :
         {boost::json::value(true), boost::json::value(1.5), boost::json::value(boost::json::array{1})}) {
      CAPTURE(name);
      CHECK(asked(name, each).is_malformed);
    }
  CHECK(asked("port", 65'536).is_malformed);
  CHECK(asked("port", -1).is_malformed);  // a path, and none is there
  CHECK(asked("index", -1).is_malformed);
  for (const boost::json::value& each : {boost::json::value("1"), boost::json::value(-1), boost::json::value(nullptr)})
    CHECK_FALSE(decode_query(question("seq", each)));
}

TEST_CASE("answers are such as Node's own primary gives") {
  const Query query = asked();
  CHECK(object(listener_answer(query, "9", nullptr, 3)) ==
        object(R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","errno":null,"key":"9","ack":1,)"
               R"("data":null,"seq":3}})"));
  CHECK(object(promise_answer(query, "9", "keys", SocketName{"::", true, 1344}, 3)) ==
        object(R"({"cmd":"NODE_CLUSTER","errno":null,"key":"9","ack":1,"data":"keys",)"
               R"("sockname":{"address":"::","family":"IPv6","port":1344},"seq":3})"));
  CHECK_FALSE(object(promise_answer(query, "9", nullptr, std::nullopt, 3)).contains("sockname"));
  CHECK(object(refusal_answer(query, EADDRINUSE, 3)) ==
        object(R"({"cmd":"NODE_CLUSTER","errno":-98,"ack":1,"data":null,"seq":3})"));
  CHECK(object(acknowledgement(5, 3)) == object(R"({"cmd":"NODE_CLUSTER","ack":5,"seq":3})"));
  CHECK(object(disconnect_line(3)) == object(R"({"cmd":"NODE_CLUSTER","act":"disconnect","seq":3})"));
}

TEST_CASE("a cluster message is known by its act, and acceptance by its word") {
  const Message question_of_it = decode(question());
  CHECK(question_of_it.kind == Kind::cluster);
  CHECK(question_of_it.detail == "queryServer");
  CHECK(question_of_it.value.is_object());
  const Message accepted = decode(object(R"({"cmd":"NODE_CLUSTER","ack":4,"accepted":true,"seq":3})"));
  CHECK(accepted.kind == Kind::accepted);
  CHECK(accepted.number == 4U);
  CHECK(accepted.is_accepted);
  CHECK_FALSE(decode(object(R"({"cmd":"NODE_CLUSTER","ack":4,"accepted":false})")).is_accepted);
  CHECK(decode(object(R"({"cmd":"NODE_CLUSTER","ack":4,"accepted":1})")).kind == Kind::cluster);
  CHECK(decode(object(R"({"cmd":"NODE_CLUSTER","act":7})")).detail.empty());
  CHECK(cargo(question()) == Cargo::none);
}

}  // namespace baton::protocol
