// Master. Who of those with room gets the next connection: the one thing in which the policies differ whose master
// accepts. Pure: no process, no descriptor, no clock.
#pragma once

#include <cstddef>
#include <span>

#include "master/policy/client_address.hpp"

namespace baton {

/// A worker that can be handed a connection now.
struct Candidate {
  unsigned number = 0;   ///< of its slot
  int id = 0;            ///< of its process: during a reload two can be of one slot
  std::size_t held = 0;  ///< connections that it has, those on their way to it included, as far as is known
};

class ConnectionPolicy {
 public:
  ConnectionPolicy() = default;
  ConnectionPolicy(const ConnectionPolicy&) = delete;
  ConnectionPolicy& operator=(const ConnectionPolicy&) = delete;
  virtual ~ConnectionPolicy() = default;

  /// The index of the chosen one. `candidates` are at least one, in order of number and id.
  virtual std::size_t choose(std::span<const Candidate> candidates, const ClientAddress& client) = 0;
};

}  // namespace baton
