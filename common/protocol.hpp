// Any process. Every message that crosses a channel, with who may send it and when. Nothing else in baton writes or
// takes apart a message. The wire and its names are Node's (lib/internal/child_process.js), but for `ready`, which is
// the word PM2 made customary, and those that begin with NODE_BATON_, which are ours. (With NODE_, so that a Node
// process on the other side keeps them from its program.)
//
// | kind       | on the wire                                              | sender | while the worker is           |
// |------------|----------------------------------------------------------|--------|-------------------------------|
// | handle     | {"cmd":"NODE_HANDLE","type":T,"msg":M} and a descriptor  | master | starting, serving             |
// | hello      | {"cmd":"NODE_BATON_HELLO"}: I know baton, want a place on| worker | starting, serving; once       |
// |            | its scoreboard, and shall say when I am ready            |        |                               |
// | scoreboard | {"cmd":"NODE_BATON_SCOREBOARD","slot":N} and a descriptor| master | starting, or after a hello    |
// | glance     | {"cmd":"NODE_BATON_GLANCE"}: a wake-up may have been lost| master | always                        |
// | withdraw   | {"cmd":"NODE_BATON_WITHDRAW","socket":C}: give it back   | master | always                        |
// | handle_ack | {"cmd":"NODE_HANDLE_ACK"}, once for each handle          | worker | starting, serving, draining   |
// | handle_nack| {"cmd":"NODE_HANDLE_NACK"}: it came without a descriptor | worker | starting, serving, draining   |
// | ready      | "ready": I answer from now on                            | worker | starting, serving, draining   |
// | alive      | {"cmd":"NODE_BATON_ALIVE"}: my loop turns                | worker | always                        |
// | retire     | {"cmd":"NODE_BATON_RETIRE","why":W}: please replace me   | worker | starting, serving, draining   |
// | connections| {"cmd":"NODE_BATON_CONNECTIONS","count":N,"msg":M} and   | master | starting, serving, draining   |
// |            | N descriptors, or none of them: a greeting               |        |                               |
// | taken      | {"cmd":"NODE_BATON_TAKEN","count":N}: the first N of the | worker | starting, serving, draining   |
// |            | oldest connections message not answered yet              |        |                               |
// | closed     | {"cmd":"NODE_BATON_CLOSED","count":N}, if asked to tell  | worker | starting, serving, draining   |
// | open       | {"cmd":"NODE_SOCKET_COUNT","key":"baton","count":N}: as  | worker | starting, serving, draining   |
// |            | many connections of yours; asked by NODE_SOCKET_GET_COUNT|        |                               |
// | all_closed | {"cmd":"NODE_SOCKET_ALL_CLOSED","key":"baton"}: none;    | worker | starting, serving, draining   |
// |            | asked by NODE_SOCKET_NOTIFY_CLOSE, answered when it is so|        |                               |
// | newconn_   | {"cmd":"NODE_CLUSTER","ack":S,"accepted":B}: whether it  | worker | starting, serving, draining   |
// | reply      | takes the connection of the newconn message number S     |        |                               |
// | cluster    | {"cmd":"NODE_CLUSTER",…}: what else Node's cluster says, | both   | always                        |
// |            | act by act in common/cluster_messages.hpp                |        |                               |
// | bus        | {"baton":VERB,…}: to others by way of the master, and    | both   | always                        |
// |            | what workers share: docs/messages.md                     |        |                               |
// | plain      | any other JSON value: process.send() and on('message')   | both   | always                        |
// | internal   | any other object whose "cmd" begins with NODE_           | both   | always (we ignore it)         |
//
// End of file on the channel is Node's `disconnect`: the other side has gone.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baton::protocol {

enum class Kind : std::uint8_t {
  handle,
  hello,
  scoreboard,
  glance,
  withdraw,
  handle_ack,
  handle_nack,
  ready,
  alive,
  retire,
  connections,
  taken,
  closed,
  open,
  all_closed,
  accepted,
  cluster,
  bus,
  plain,
  internal,
};
enum class Sender : std::uint8_t { master, worker };
/// The worker's phase, as both sides of its channel know it.
enum class Phase : std::uint8_t { starting, serving, draining };

struct Message {
  Kind kind = Kind::plain;
  /// Of a handle its type: "net.Server" (a listener), "net.Socket" (a connection) or else. Of a retire the reason,
  /// which goes on from "worker 2 pid 77 ": "has answered 50 requests". Of a cluster message its act, of a bus message
  /// its verb.
  std::string detail;
  boost::json::value value;  ///< of a plain, cluster, bus or internal message: itself
  /// Of a scoreboard the row, of a withdrawal the listener's cookie (SO_COOKIE); of connections, taken, closed and
  /// open how many; of accepted the number of the message that it answers. Nothing where it says none.
  std::optional<std::uint64_t> number = std::nullopt;
  bool wants_closes = false;  ///< of connections: closes are to be told of
  std::string name = {};      ///< of a handle: the word that came with it, a listener's name
  bool is_accepted = false;   ///< of accepted: the worker takes it
};

/// What a message brings by SCM_RIGHTS.
enum class Cargo : std::uint8_t {
  none,
  handle,       ///< one descriptor
  connections,  ///< any number of them
};
Cargo cargo(const boost::json::value& value);

/// Never fails: what is no message of ours or Node's is a plain one. Node's retransmission (the handle's message
/// inside another, of type net.Native) is unwrapped.
Message decode(boost::json::value value);

/// Whether the table above permits it.
bool is_legal(Kind kind, Sender sender, Phase phase);

std::string_view name(Kind kind);

/// Node's `child.send('server', server)`: take this listening descriptor. `name` is the word that goes with it.
std::string listener_line(std::string_view name = "server");
/// A program's, to a master that may be baton; no other takes notice.
std::string_view hello_line();
/// Sent to baton's own workers, and to those that said hello. It is not acknowledged: without it a worker only goes
/// uncounted.
std::string scoreboard_line(std::uint64_t row);
std::string_view glance_line();
std::string_view handle_ack_line();
std::string_view handle_nack_line();
std::string_view ready_line();
std::string_view alive_line();
std::string retire_line(std::string_view why);
/// The listener with that cookie, which was handed over before, is another worker's again.
std::string withdraw_line(std::uint64_t socket);

/// The first connections message, which brings none: from now on connections come this way. Whoever knows it answers
/// that it took none.
std::string greeting_line(bool wants_closes);
/// `quoted_name` is the listener's name as JSON: quoted().
std::string connections_line(std::size_t count, std::string_view quoted_name);
std::string taken_line(std::size_t count);
std::string closed_line(std::size_t count);
std::string quoted(std::string_view text);
/// Node's `child.send('server', socket)`. `is_counted`: the worker keeps count of them, for what follows.
std::string connection_line(std::string_view name, bool is_counted);
std::string_view ask_open_line();
std::string_view ask_all_closed_line();
/// A handle message without its descriptor: whoever reads its channel refuses it, and nothing else comes of it.
std::string_view probe_line();

/// How deeply the values of a line may be nested. Node's own parser knows no limit; this one is for the stack's sake.
constexpr std::size_t deepest = 512;

constexpr std::string_view listener_type = "net.Server";
constexpr std::string_view connection_type = "net.Socket";

/// Environment of a worker: its channel's descriptor number, and how values are written on it.
constexpr const char* channel_variable = "NODE_CHANNEL_FD";
constexpr const char* serialization_variable = "NODE_CHANNEL_SERIALIZATION_MODE";
/// The same where the worker may start Node processes of its own, which must not take the channel for theirs.
constexpr const char* own_channel_variable = "BATON_CHANNEL_FD";
/// With it, Node takes itself for a worker of a cluster: its id there.
constexpr const char* cluster_variable = "NODE_UNIQUE_ID";
/// Environment of a worker: its number among its siblings, from 1.
constexpr const char* number_variable = "BATON_WORKER";
/// Environment of a worker: the how-manieth start of its master it is, by which it is told from its predecessors.
constexpr const char* start_variable = "BATON_START";

}  // namespace baton::protocol
