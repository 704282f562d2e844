// Master. The dialect `listen-fds`: the worker has its listeners from the start, as from systemd (sd_listen_fds(3)), or
// by the numbers in its arguments. Not both: gunicorn, for one, would take each descriptor twice, and close it once.
#include <fmt/format.h>

#include <utility>

#include "master/dialect/inherited.hpp"

namespace baton {

Equipment equip_listen_fds(const Recruit& recruit, Fd channel) {
  Inherited inherited(recruit, std::move(channel));
  Equipment& equipment = inherited.equipment;
  if (names_descriptor(recruit.arguments)) return std::move(equipment);
  std::string names;
  for (const ListenerFacts& each : inherited.listeners) names += (names.empty() ? "" : ":") + each.name;
  equipment.variables.push_back(fmt::format("LISTEN_FDS={}", inherited.listeners.size()));
  equipment.variables.push_back("LISTEN_FDNAMES=" + names);
  equipment.pid_variable = "LISTEN_PID";
  return std::move(equipment);
}

}  // namespace baton
