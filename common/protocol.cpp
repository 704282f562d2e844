// Any process. The messages' wire form and the table of who may send what.
#include "common/protocol.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <utility>

#include "common/cluster_messages.hpp"

namespace baton::protocol {
namespace {

constexpr unsigned in(Phase phase) {
  return 1U << static_cast<unsigned>(phase);
}
constexpr unsigned never = 0;
constexpr unsigned always = in(Phase::starting) | in(Phase::serving) | in(Phase::draining);

struct Rule {
  Kind kind;
  std::string_view name;
  unsigned from_master;
  unsigned from_worker;
};

constexpr std::array rules{
    Rule{Kind::handle, "handle", in(Phase::starting) | in(Phase::serving), never},
    Rule{Kind::hello, "hello", never, in(Phase::starting) | in(Phase::serving)},
    Rule{Kind::scoreboard, "scoreboard", in(Phase::starting), never},
    Rule{Kind::glance, "glance", always, never},
    Rule{Kind::withdraw, "withdraw", always, never},
    Rule{Kind::handle_ack, "handle_ack", never, always},
    Rule{Kind::handle_nack, "handle_nack", never, always},
    Rule{Kind::ready, "ready", never, always},
    Rule{Kind::alive, "alive", never, always},
    Rule{Kind::retire, "retire", never, always},
    Rule{Kind::connections, "connections", always, never},
    Rule{Kind::taken, "taken", never, always},
    Rule{Kind::closed, "closed", never, always},
    Rule{Kind::open, "open", never, always},
    Rule{Kind::all_closed, "all_closed", never, always},
    Rule{Kind::accepted, "newconn_reply", never, always},
    Rule{Kind::cluster, "cluster", always, always},
    Rule{Kind::bus, "bus", always, always},
    Rule{Kind::plain, "plain", always, always},
    Rule{Kind::internal, "internal", always, always},
};

const Rule& rule(Kind kind) {
  return rules.at(static_cast<std::size_t>(kind));
}

std::string_view text_at(const boost::json::object& object, boost::json::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  const boost::json::string& text = value->get_string();
  return {text.data(), text.size()};
}

std::optional<std::uint64_t> number_at(const boost::json::object& object, boost::json::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  return error ? std::nullopt : std::optional(number);
}

std::string_view command(const boost::json::value& value) {
  return value.is_object() ? text_at(value.get_object(), "cmd") : std::string_view{};
}

std::string_view bus_verb(const boost::json::value& value) {
  return value.is_object() ? text_at(value.get_object(), "baton") : std::string_view{};
}

constexpr std::string_view handle_command = "NODE_HANDLE";
constexpr std::string_view hello_command = "NODE_BATON_HELLO";
constexpr std::string_view scoreboard_command = "NODE_BATON_SCOREBOARD";
constexpr std::string_view glance_command = "NODE_BATON_GLANCE";
constexpr std::string_view alive_command = "NODE_BATON_ALIVE";
constexpr std::string_view retire_command = "NODE_BATON_RETIRE";
constexpr std::string_view withdraw_command = "NODE_BATON_WITHDRAW";
constexpr std::string_view connections_command = "NODE_BATON_CONNECTIONS";
constexpr std::string_view taken_command = "NODE_BATON_TAKEN";
constexpr std::string_view closed_command = "NODE_BATON_CLOSED";
constexpr std::string_view open_command = "NODE_SOCKET_COUNT";
constexpr std::string_view all_closed_command = "NODE_SOCKET_ALL_CLOSED";
constexpr std::string_view retransmission_type = "net.Native";
/// Under which Node's workers count the connections that came from us.
constexpr std::string_view key = "baton";

Message numbered(Kind kind, const boost::json::object& object, boost::json::string_view name) {
  return {kind, {}, nullptr, number_at(object, name)};
}

Message decode_connections(const boost::json::object& object) {
  Message message = numbered(Kind::connections, object, "count");
  const boost::json::value* closes = object.if_contains("closes");
  message.wants_closes = closes != nullptr && *closes == true;
  return message;
}

Message decode_cluster(boost::json::value value) {
  const boost::json::object& object = value.get_object();
  const boost::json::value* accepted = object.if_contains("accepted");
  if (accepted == nullptr || !accepted->is_bool())
    return {Kind::cluster, std::string(text_at(object, "act")), std::move(value)};
  Message message = numbered(Kind::accepted, object, "ack");
  message.is_accepted = accepted->get_bool();
  return message;
}

Message decode_handle(boost::json::object& object) {
  const std::string_view type = text_at(object, "type");
  if (type == retransmission_type) {
    boost::json::value* inner = object.if_contains("msg");
    if (inner != nullptr && command(*inner) == handle_command) return decode_handle(inner->get_object());
  }
  Message message{Kind::handle, std::string(type), nullptr};
  message.name = text_at(object, "msg");
  return message;
}

}  // namespace

Cargo cargo(const boost::json::value& value) {
  const std::string_view cmd = command(value);
  if (cmd == handle_command || cmd == scoreboard_command) return Cargo::handle;
  if (cmd != connections_command) return Cargo::none;
  // A greeting brings none, and must not take those of a line behind it that was read together with it.
  return number_at(value.get_object(), "count") == 0U ? Cargo::none : Cargo::connections;
}

Message decode(boost::json::value value) {
  if (value.is_string() && value.get_string() == "ready") return {Kind::ready, {}, nullptr};
  if (const std::string_view verb = bus_verb(value); !verb.empty())
    return {Kind::bus, std::string(verb), std::move(value)};
  const std::string_view cmd = command(value);
  if (cmd == handle_command) return decode_handle(value.get_object());
  if (cmd == "NODE_HANDLE_ACK") return {Kind::handle_ack, {}, nullptr};
  if (cmd == "NODE_HANDLE_NACK") return {Kind::handle_nack, {}, nullptr};
  if (cmd == hello_command) return {Kind::hello, {}, nullptr};
  if (cmd == scoreboard_command) return numbered(Kind::scoreboard, value.get_object(), "slot");
  if (cmd == glance_command) return {Kind::glance, {}, nullptr};
  if (cmd == alive_command) return {Kind::alive, {}, nullptr};
  if (cmd == retire_command) return {Kind::retire, std::string(text_at(value.get_object(), "why")), nullptr};
  if (cmd == withdraw_command) return numbered(Kind::withdraw, value.get_object(), "socket");
  if (cmd == connections_command) return decode_connections(value.get_object());
  if (cmd == taken_command) return numbered(Kind::taken, value.get_object(), "count");
  if (cmd == closed_command) return numbered(Kind::closed, value.get_object(), "count");
  const bool is_about_ours = cmd.starts_with("NODE_SOCKET_") && text_at(value.get_object(), "key") == key;
  if (is_about_ours && cmd == open_command) return numbered(Kind::open, value.get_object(), "count");
  if (is_about_ours && cmd == all_closed_command) return {Kind::all_closed, {}, nullptr};
  if (cmd == cluster_command) return decode_cluster(std::move(value));
  if (cmd.starts_with("NODE_")) return {Kind::internal, {}, std::move(value)};
  return {Kind::plain, {}, std::move(value)};
}

bool is_legal(Kind kind, Sender sender, Phase phase) {
  const Rule& found = rule(kind);
  return ((sender == Sender::master ? found.from_master : found.from_worker) & in(phase)) != 0;
}

std::string_view name(Kind kind) {
  return rule(kind).name;
}

std::string listener_line(std::string_view name) {
  return boost::json::serialize(boost::json::object{{"cmd", handle_command}, {"type", listener_type}, {"msg", name}});
}
std::string_view hello_line() {
  return R"({"cmd":"NODE_BATON_HELLO"})";
}
std::string scoreboard_line(std::uint64_t row) {
  return boost::json::serialize(boost::json::object{{"cmd", scoreboard_command}, {"slot", row}});
}
std::string_view glance_line() {
  return R"({"cmd":"NODE_BATON_GLANCE"})";
}
std::string_view handle_ack_line() {
  return R"({"cmd":"NODE_HANDLE_ACK"})";
}
std::string_view handle_nack_line() {
  return R"({"cmd":"NODE_HANDLE_NACK"})";
}
std::string_view ready_line() {
  return R"("ready")";
}

std::string_view alive_line() {
  return R"({"cmd":"NODE_BATON_ALIVE"})";
}
std::string retire_line(std::string_view why) {
  return boost::json::serialize(boost::json::object{{"cmd", retire_command}, {"why", why}});
}
std::string withdraw_line(std::uint64_t socket) {
  return boost::json::serialize(boost::json::object{{"cmd", withdraw_command}, {"socket", socket}});
}

std::string greeting_line(bool wants_closes) {
  return fmt::format(R"({{"cmd":"{}","count":0,"closes":{}}})", connections_command, wants_closes);
}
std::string connections_line(std::size_t count, std::string_view quoted_name) {
  return fmt::format(R"({{"cmd":"{}","count":{},"msg":{}}})", connections_command, count, quoted_name);
}
std::string taken_line(std::size_t count) {
  return fmt::format(R"({{"cmd":"{}","count":{}}})", taken_command, count);
}
std::string closed_line(std::size_t count) {
  return fmt::format(R"({{"cmd":"{}","count":{}}})", closed_command, count);
}
std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::value(text));
}
std::string connection_line(std::string_view name, bool is_counted) {
  boost::json::object message{{"cmd", handle_command}, {"type", connection_type}, {"msg", name}};
  if (is_counted) message["key"] = key;
  return boost::json::serialize(message);
}
std::string_view ask_open_line() {
  return R"({"cmd":"NODE_SOCKET_GET_COUNT","key":"baton"})";
}
std::string_view ask_all_closed_line() {
  return R"({"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":"baton"})";
}
std::string_view probe_line() {
  return R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"ready?"})";
}

}  // namespace baton::protocol
