// Master. What most policies have in common as to listening sockets.
#include "master/policy/socket_policy.hpp"

#include <algorithm>

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

}  // namespace baton
