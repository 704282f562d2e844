// Master. Policy `leastconn`: who has the fewest connections; of equals, each in turn.
#pragma once

#include "master/policy/chooser.hpp"
#include "master/policy/round_robin.hpp"

namespace baton {

class LeastConnections final : public Chooser {
 public:
  std::size_t choose(std::span<const Candidate> candidates, const ClientAddress& client) override;

 private:
  Turn turn_;
};

}  // namespace baton
