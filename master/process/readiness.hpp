// Master. When a worker counts as ready. Pure: it looks at what the worker has shown, and at nothing else.
#pragma once

#include <optional>

#include "master/settings/options.hpp"

namespace baton {

/// What a worker has shown by now.
struct ReadinessSigns {
  bool said_hello = false;      ///< of a command: it knows baton, and will say that it is ready
  bool said_ready = false;      ///< on its channel, or on Einhorn's socket
  bool notified_ready = false;  ///< READY=1 on its NOTIFY_SOCKET
  bool accepts = false;         ///< it was seen to wait for connections
  bool owes_answer = false;     ///< to a listener or a probe that it was sent
  std::optional<bool> listens;  ///< of the dialect node-cluster alone: on all that it has asked for
};

/// Whether they are the signs that its settings wait for.
bool is_ready(Readiness awaited, const ReadinessSigns& signs);

}  // namespace baton
