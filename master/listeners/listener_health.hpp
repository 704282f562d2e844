// Master. Whether a listener still is as it was made: every process that holds it can shut it down or cut its backlog
// for all the others. Asks the kernel only; owns nothing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "common/fd.hpp"

namespace baton {

struct ListenerHealth {
  bool listens = false;
  /// Connections that may wait, as the kernel took it; nothing where it does not say.
  std::optional<int> backlog;
  /// The process that called listen(2) last, where the kernel keeps it (Unix sockets), else 0.
  pid_t listened_by = 0;
};

/// Throws std::system_error.
ListenerHealth listener_health(const Fd& listener);

/// Whether the kernel moves the queue of a listener that is closed to the others on its port
/// (net.ipv4.tcp_migrate_req), instead of resetting it.
bool queues_migrate();

}  // namespace baton
