// Master. A port for each worker: its own as long as its slot is wanted, and closed when it is not.
#pragma once

#include "master/policy/socket_policy.hpp"

namespace baton {

class OwnPortSockets final : public SocketPolicy {
 public:
  [[nodiscard]] bool has_own_addresses() const override { return true; }
  [[nodiscard]] unsigned least() const override { return 0; }
  [[nodiscard]] ListenAddress address(const ListenAddress& wanted, unsigned place) const override;
  [[nodiscard]] ListenerPlan plan(const ListenerUse& use) const override;
};

}  // namespace baton
