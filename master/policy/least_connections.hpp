// Master. Policy `leastconn`: who has the fewest connections; of equals, each in turn.
#pragma once

#include "master/policy/connection_policy.hpp"
#include "master/policy/round_robin.hpp"

namespace baton {

class LeastConnections final : public ConnectionPolicy {
 public:
  std::size_t choose(std::span<const Candidate> candidates, const ClientAddress& client) override;

 private:
  Turn turn_;
};

}  // namespace baton
