// Master. One look at each.
#include "master/policy/least_connections.hpp"

namespace baton {

std::size_t LeastConnections::choose(std::span<const Candidate> candidates, const ClientAddress& /*client*/) {
  // From whose turn it is on, so that the first of several equals is the right one.
  const std::size_t first = turn_.next(candidates);
  std::size_t chosen = first;
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    const std::size_t at = (first + i) % candidates.size();
    if (candidates[at].held < candidates[chosen].held) chosen = at;
  }
  turn_.take(candidates[chosen]);
  return chosen;
}

}  // namespace baton
