// Master. Turns.
#include "master/policy/round_robin.hpp"

#include <algorithm>
#include <tuple>

namespace baton {

std::size_t Turn::next(std::span<const Candidate> candidates) const {
  const auto behind = std::partition_point(candidates.begin(), candidates.end(), [this](const Candidate& each) {
    return std::tie(each.number, each.id) <= std::tie(number_, id_);
  });
  return behind == candidates.end() ? 0 : static_cast<std::size_t>(behind - candidates.begin());
}

void Turn::take(const Candidate& taken) {
  number_ = taken.number;
  id_ = taken.id;
}

std::size_t RoundRobin::choose(std::span<const Candidate> candidates, const ClientAddress& /*client*/) {
  const std::size_t chosen = turn_.next(candidates);
  turn_.take(candidates[chosen]);
  return chosen;
}

}  // namespace baton
