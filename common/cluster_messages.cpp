// Any process. Taking Node's cluster messages apart, and writing ours.
#include "common/cluster_messages.hpp"

#include <array>
#include <boost/json/serialize.hpp>
#include <utility>

namespace baton::protocol {
namespace {

constexpr std::int64_t ipv6_only_flag = 1;  // libuv's UV_TCP_IPV6ONLY
constexpr std::int64_t highest_port = 65'535;

using boost::json::object;
using boost::json::value;

template <class Number>
std::optional<Number> number_in(const value& given) {
  if (!given.is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto number = given.to_number<Number>(error);
  return error ? std::nullopt : std::optional(number);
}

/// Null and what is not there are the same: JSON.stringify() leaves out what is undefined.
const value* find(const object& message, boost::json::string_view name) {
  const value* found = message.if_contains(name);
  return found == nullptr || found->is_null() ? nullptr : found;
}

bool is_true(const object& message, boost::json::string_view name) {
  const value* found = find(message, name);
  return found != nullptr && *found == true;
}

/// Puts what is there into `place`; false where it is of another kind.
bool take_number(const object& message, boost::json::string_view name, std::int64_t& place) {
  const value* found = find(message, name);
  if (found == nullptr) return true;
  const auto number = number_in<std::int64_t>(*found);
  if (number) place = *number;
  return number.has_value();
}

bool take_address(const object& message, std::optional<std::string>& place) {
  const value* found = find(message, "address");
  if (found == nullptr) return true;
  if (!found->is_string()) return false;
  place = std::string(found->get_string());
  return true;
}

bool take_type(const object& message, std::string& place) {
  constexpr std::array<std::string_view, 5> known{"4", "6", "-1", "udp4", "udp6"};
  if (const value* found = find(message, "addressType"); found != nullptr)
    place = found->is_string() ? std::string(found->get_string()) : boost::json::serialize(*found);
  for (const std::string_view each : known)
    if (each == place) return true;
  return place.empty();
}

object answer(std::uint64_t ack, std::uint64_t seq) {
  return {{"cmd", cluster_command}, {"ack", ack}, {"seq", seq}};
}

std::string with_handle(object message) {
  return boost::json::serialize(object{{"cmd", "NODE_HANDLE"}, {"type", "net.Native"}, {"msg", std::move(message)}});
}

}  // namespace

std::optional<Query> decode_query(const object& message) {
  const auto seq = seq_of(message);
  if (!seq) return std::nullopt;
  Query query;
  query.seq = *seq;
  std::int64_t index = 0;
  std::int64_t flags = 0;
  std::int64_t descriptor = -1;
  bool is_sound = take_address(message, query.address);
  is_sound = take_type(message, query.type) && is_sound;
  is_sound = take_number(message, "port", query.port) && is_sound;
  is_sound = take_number(message, "index", index) && is_sound;
  is_sound = take_number(message, "flags", flags) && is_sound;
  is_sound = take_number(message, "fd", descriptor) && is_sound;
  query.names_descriptor = descriptor >= 0;
  const bool is_somewhere = query.port >= 0 || query.address.has_value() || query.names_descriptor;
  query.is_malformed = !is_sound || index < 0 || query.port > highest_port || !is_somewhere;
  query.index = index < 0 ? 0 : static_cast<std::uint64_t>(index);
  query.is_ipv6_only = (flags & ipv6_only_flag) != 0;
  query.is_readable_by_all = is_true(message, "readableAll");
  query.is_writable_by_all = is_true(message, "writableAll");
  if (const value* data = find(message, "data"); data != nullptr) query.data = *data;
  return query;
}

std::string_view key_of(const object& message) {
  const value* key = find(message, "key");
  if (key == nullptr || !key->is_string()) return {};
  return {key->get_string().data(), key->get_string().size()};
}

std::optional<std::uint64_t> seq_of(const object& message) {
  const value* seq = find(message, "seq");
  return seq == nullptr ? std::nullopt : number_in<std::uint64_t>(*seq);
}

std::string listener_answer(const Query& query, std::string_view key, const value& data, std::uint64_t seq) {
  object message = answer(query.seq, seq);
  message["errno"] = nullptr;
  message["key"] = key;
  message["data"] = data;
  return with_handle(std::move(message));
}

std::string promise_answer(const Query& query, std::string_view key, const value& data,
                           const std::optional<SocketName>& name, std::uint64_t seq) {
  object message = answer(query.seq, seq);
  message["errno"] = nullptr;
  message["key"] = key;
  message["data"] = data;
  if (name)
    message["sockname"] =
        object{{"address", name->address}, {"family", name->is_ipv6 ? "IPv6" : "IPv4"}, {"port", name->port}};
  return boost::json::serialize(message);
}

std::string refusal_answer(const Query& query, int error, std::uint64_t seq) {
  object message = answer(query.seq, seq);
  message["errno"] = -error;
  message["data"] = query.data;  // Node's TLS server takes its keys from here before it looks at the error
  return boost::json::serialize(message);
}

std::string acknowledgement(std::uint64_t ack, std::uint64_t seq) {
  return boost::json::serialize(answer(ack, seq));
}

std::string disconnect_line(std::uint64_t seq) {
  return boost::json::serialize(object{{"cmd", cluster_command}, {"act", "disconnect"}, {"seq", seq}});
}

std::string newconn_line(std::string_view key, std::uint64_t seq) {
  return with_handle({{"cmd", cluster_command}, {"act", "newconn"}, {"key", key}, {"seq", seq}});
}

}  // namespace baton::protocol
