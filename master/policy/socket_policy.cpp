// Master. Which sibling belongs to which name.
#include "master/policy/socket_policy.hpp"

#include <algorithm>

#include "master/policy/own_port.hpp"
#include "master/policy/reuseport.hpp"
#include "master/policy/shared.hpp"

namespace baton {

ListenAddress SocketPolicy::address(const ListenAddress& wanted, unsigned /*place*/) const {
  return wanted;
}

std::map<unsigned, ListenerUse::Owner> ListenerUse::owners() const {
  std::map<unsigned, Owner> found;
  for (const Worker& each : workers) {
    Owner& owner = found[each.slot];
    owner = std::max(owner, each.is_ready ? Owner::ready : Owner::starting);
  }
  return found;
}

const SocketPolicy& socket_policy(Policy policy) {
  static const SharedSocket shared;
  static const ReuseportSockets reuseport;
  static const OwnPortSockets own_port;
  switch (policy) {
    case Policy::reuseport:
      return reuseport;
    case Policy::own_port:
      return own_port;
    case Policy::shared:
    case Policy::roundrobin:  // the master accepts, from one listener
    case Policy::leastconn:
    case Policy::source:
      break;
  }
  return shared;
}

}  // namespace baton
