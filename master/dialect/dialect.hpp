// Master. How a descriptor reaches a worker: the names of the dialects, and which of them a command is taken to speak.
// What each hands over at its worker's start (handoff.hpp) is in a file of its own beside this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

enum class Dialect : std::uint8_t {
  channel,       ///< Node's child.send('server', server): a message with the listener; baton's own workers, too
  node_cluster,  ///< Node's cluster: a program's listen() asks for its listener
  // The listeners are there from the start, from descriptor 3 on, and are found as the variables say:
  listen_fds,      ///< systemd's
  einhorn,         ///< Einhorn's
  server_starter,  ///< Server::Starter's
};

/// Nothing: "auto". Throws UsageError.
std::optional<Dialect> parse_dialect(const std::string& text);

std::string_view name(Dialect dialect);

struct DialectChoice {
  Dialect dialect = Dialect::channel;
  std::string why;  ///< "uvicorn is no Node program"
};
/// For `auto`. `command` is what is to be run, or empty for the embedded worker.
DialectChoice choose_dialect(const std::vector<std::string>& command);

/// Whether the worker has the listeners at its start, rather than by a message.
bool inherits_listeners(Dialect dialect);

/// Whether the worker asks for its listeners, and gets none unasked.
bool asks_for_listeners(Dialect dialect);

}  // namespace baton
