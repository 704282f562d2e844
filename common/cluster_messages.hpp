// Any process. What Node's `cluster` says on a channel besides handles: the messages whose cmd is NODE_CLUSTER, each
// with its act. A part of protocol.hpp's table, in a file of its own because it is a conversation of its own; the wire
// is that of Node 18 and 20 (lib/internal/cluster).
//
// The acts, with what is on the wire besides "cmd":"NODE_CLUSTER" and the sender's own count "seq". By workers:
//   online                 it runs
//   queryServer            address, port, addressType, flags, fd, backlog, index, data: may I have that port?
//   listening              the same, with the port that it has: it listens
//   close                  "key":K: it listens there no more
//   exitedAfterDisconnect  it leaves by itself, once it is answered
// By the master:
//   an answer              "ack":SEQ and no act. Of a queryServer with "errno", "key":K, "data", and with the listener,
//                          within a NODE_HANDLE of type net.Native, or with "sockname", and connections follow
//   newconn                "key":K, within a NODE_HANDLE with a connection; answered by protocol's `accepted`
//   disconnect             close your listeners, and end when your connections have
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baton::protocol {

constexpr std::string_view cluster_command = "NODE_CLUSTER";

/// What a program's listen() asks.
struct Query {
  std::uint64_t seq = 0;               ///< the answer names it
  std::optional<std::string> address;  ///< numeric, or a path; nothing: every address of the machine
  std::int64_t port = -1;              ///< 0: any; below: it is a path
  std::string type;                    ///< "4", "6", "-1" (a path), "udp4", "udp6"
  std::uint64_t index = 0;             ///< the how-manieth of its worker with these values, from 0
  bool is_ipv6_only = false;
  bool is_readable_by_all = false;  ///< the path
  bool is_writable_by_all = false;
  bool names_descriptor = false;  ///< one of its master's, by number
  bool is_malformed = false;      ///< some value is none that Node sends
  boost::json::value data;        ///< for the other workers that ask the same: TLS ticket keys

  [[nodiscard]] bool is_udp() const { return type.starts_with("udp"); }
  [[nodiscard]] bool is_path() const { return port < 0; }
};

/// Of a queryServer or listening message. Nothing where it could not even be answered.
std::optional<Query> decode_query(const boost::json::object& message);

/// The key of a close; empty: none.
std::string_view key_of(const boost::json::object& message);
std::optional<std::uint64_t> seq_of(const boost::json::object& message);

/// As Node's getsockname() gives it.
struct SocketName {
  std::string address;
  bool is_ipv6 = false;
  std::int64_t port = 0;
};

/// The answer that comes with the listener. Its errno is null and not 0: after a 0, Node compares the listener's port
/// with the one that its program asked for, and gives the program EADDRINUSE where they differ.
std::string listener_answer(const Query& query, std::string_view key, const boost::json::value& data,
                            std::uint64_t seq);
/// The answer after which connections come. A Unix socket has no name.
std::string promise_answer(const Query& query, std::string_view key, const boost::json::value& data,
                           const std::optional<SocketName>& name, std::uint64_t seq);
/// `error` is an errno; on the wire it is libuv's: negative.
std::string refusal_answer(const Query& query, int error, std::uint64_t seq);
std::string acknowledgement(std::uint64_t ack, std::uint64_t seq);
std::string disconnect_line(std::uint64_t seq);
std::string newconn_line(std::string_view key, std::uint64_t seq);

}  // namespace baton::protocol
