// Master. The policies' choosers by name.
#include "master/policy/chooser.hpp"

#include "master/policy/least_connections.hpp"
#include "master/policy/round_robin.hpp"
#include "master/policy/source.hpp"

namespace baton {

std::unique_ptr<Chooser> make_chooser(Policy policy) {
  if (policy == Policy::leastconn) return std::make_unique<LeastConnections>();
  if (policy == Policy::source) return std::make_unique<Source>();
  return std::make_unique<RoundRobin>();
}

}  // namespace baton
