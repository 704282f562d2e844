// Master. The connection policies by name.
#include "master/policy/connection_policy.hpp"

#include "master/policy/least_connections.hpp"
#include "master/policy/round_robin.hpp"
#include "master/policy/source.hpp"

namespace baton {

std::unique_ptr<ConnectionPolicy> make_connection_policy(Policy policy) {
  switch (policy) {
    case Policy::roundrobin:
      return std::make_unique<RoundRobin>();
    case Policy::leastconn:
      return std::make_unique<LeastConnections>();
    case Policy::source:
      return std::make_unique<Source>();
    case Policy::shared:
    case Policy::reuseport:
    case Policy::own_port:
      return nullptr;
  }
  return nullptr;
}

}  // namespace baton
