// Master. The dialect `listen-fds`: the worker has its listeners from the start, as from systemd (sd_listen_fds(3)), or
// by the numbers in its arguments. Not both: gunicorn, for one, would take each descriptor twice, and close it once.
#include <fmt/format.h>

#include <utility>

#include "master/dialect/inherited.hpp"

namespace baton {

Handoff hand_off_listen_fds(const WorkerSpec& spec, Fd channel) {
  Inherited inherited(spec, std::move(channel));
  Handoff& handoff = inherited.handoff;
  if (names_descriptor(spec.arguments)) return std::move(handoff);
  std::string names;
  for (const ListenerFacts& each : inherited.listeners) names += (names.empty() ? "" : ":") + each.name;
  handoff.variables.push_back(fmt::format("LISTEN_FDS={}", inherited.listeners.size()));
  handoff.variables.push_back("LISTEN_FDNAMES=" + names);
  handoff.pid_variable = "LISTEN_PID";
  return std::move(handoff);
}

}  // namespace baton
