// Master. Who gets the next connection: the policies, by name. What a policy does with listening sockets is a
// SocketPolicy; those whose master accepts have a ConnectionPolicy as well. Each is in a file of its own beside this.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace baton {

class ConnectionPolicy;
class SocketPolicy;

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

/// Lives as long as the program.
const SocketPolicy& socket_policy(Policy policy);

/// Null where the kernel chooses, and not the master: hands_connections().
std::unique_ptr<ConnectionPolicy> make_connection_policy(Policy policy);

}  // namespace baton
