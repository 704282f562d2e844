// Master. Who gets the next connection: the names of the policies, and what they have in common. Each policy itself is
// in policy/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace baton {

/// The names of the last three but one are HAProxy's.
enum class Policy : std::uint8_t {
  shared,      ///< one listener, all workers accept, and take turns
  reuseport,   ///< a listener per worker on one address, chosen by the kernel's hash
  roundrobin,  ///< the master accepts and hands over: each in turn
  leastconn,   ///< likewise: who has the fewest connections open
  source,      ///< likewise: the same client address to the same worker
  own_port,    ///< a port per worker
};

/// Throws UsageError.
Policy parse_policy(const std::string& text);

std::string_view name(Policy policy);

/// Whether the master accepts, and hands connections over instead of listeners.
bool hands_connections(Policy policy);

}  // namespace baton
