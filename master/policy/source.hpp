// Master. Policy `source`: the same client address, the same worker. Rendezvous hashing (highest random weight): each
// worker's number has a weight for the address, and the heaviest gets the client. When a worker goes, its own clients
// move and nobody else's; when one comes, only those move whose heaviest it is.
#pragma once

#include <cstdint>

#include "master/policy/connection_policy.hpp"

namespace baton {

class Source final : public ConnectionPolicy {
 public:
  std::size_t choose(std::span<const Candidate> candidates, const ClientAddress& client) override;
};

/// FNV-1a (64 bits) over the 16 bytes of the address, with the number added and the bits mixed by the finalizer of
/// splitmix64. Fixed: a restart, another machine or another version of baton puts a client to the same number.
std::uint64_t weight(const ClientAddress& client, unsigned number);

}  // namespace baton
