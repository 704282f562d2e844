// Master. Which port, and when it closes.
#include "master/policy/own_port.hpp"

namespace baton {

ListenAddress OwnPortSockets::address(const ListenAddress& wanted, unsigned place) const {
  TcpAddress address = std::get<TcpAddress>(wanted);
  const bool is_range = address.ports.first != 0;
  address.ports = is_range ? static_cast<std::uint16_t>(address.ports.first + place - 1) : std::uint16_t{0};
  return address;
}

/// A worker that leaves answers who is in its queue; who comes later is to be refused at once, and not to wait for
/// nobody. So the port is given up here when the worker is asked to leave, and closes when that one lets go of it.
ListenerPlan OwnPortSockets::plan(const ListenerUse& use) const {
  ListenerPlan found;
  if (!use.may_close) return found;
  const auto owners = use.owners();
  for (const ListenerUse::Place& place : use.places)
    if (place.slot > use.target && !owners.contains(place.slot)) found.closed.push_back(place.slot);
  return found;
}

}  // namespace baton
