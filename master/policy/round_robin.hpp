// Master. Policy `roundrobin`: each in turn, in order of their numbers; who has no room is passed over.
#pragma once

#include "master/policy/connection_policy.hpp"

namespace baton {

/// Whose turn it is, kept by number rather than by place, so that it outlasts workers that come and go.
class Turn {
 public:
  /// The index of the first one behind the last that was taken.
  [[nodiscard]] std::size_t next(std::span<const Candidate> candidates) const;
  void take(const Candidate& taken);

 private:
  unsigned number_ = 0;  ///< of the last one; 0: nobody yet
  int id_ = 0;
};

class RoundRobin final : public ConnectionPolicy {
 public:
  std::size_t choose(std::span<const Candidate> candidates, const ClientAddress& client) override;

 private:
  Turn turn_;
};

}  // namespace baton
