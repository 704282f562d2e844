// Master. One listener for all workers: there is nothing to arrange.
#pragma once

#include "master/policy/socket_policy.hpp"

namespace baton {

class SharedSocket final : public SocketPolicy {
 public:
  [[nodiscard]] bool is_common() const override { return true; }
  [[nodiscard]] unsigned place(unsigned /*slot*/) const override { return 1; }
  [[nodiscard]] ListenerPlan plan(const ListenerUse& /*use*/) const override { return {}; }
};

}  // namespace baton
