// Master. A listener for each worker, all on one port, among which the kernel chooses by a hash of the client's address
// (SO_REUSEPORT). It goes on to choose one whose worker has gone. So that nobody waits there, such a listener is lent
// to workers that serve; where the kernel moves queues it is closed instead, if it is not needed again.
#pragma once

#include "master/policy/socket_policy.hpp"

namespace baton {

class ReuseportSockets final : public SocketPolicy {
 public:
  [[nodiscard]] bool shares_port() const override { return true; }
  [[nodiscard]] bool waits_for_worker(bool another_listens) const override { return another_listens; }
  [[nodiscard]] ListenerPlan plan(const ListenerUse& use) const override;
  void check_target(const ListenerUse& use, bool can_lend) const override;
};

/// Each listener of `places` to as many of `workers` as keeps shares even, and the number of copies within bounds.
std::map<int, std::set<unsigned>> lend(const std::vector<unsigned>& places, const std::vector<int>& workers);

}  // namespace baton
