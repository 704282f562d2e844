// Master. The dialect `channel`: nothing but the channel, as Node's child_process.fork() gives it. The listeners follow
// on it.
#include <fmt/format.h>

#include <utility>

#include "common/protocol.hpp"
#include "master/dialect/handoff.hpp"
#include "master/dialect/placeholders.hpp"

namespace baton {

Handoff hand_off_channel(const WorkerSpec& spec, Fd channel) {
  Handoff handoff;
  handoff.descriptors.push_back(std::move(channel));
  std::vector<ListenerFacts> listeners;
  listeners.reserve(spec.listeners.size());
  for (const auto& each : spec.listeners) listeners.push_back({each->name(), std::nullopt, each->address()});
  handoff.arguments = fill_placeholders(spec.arguments, listeners, spec.number);
  handoff.variables = {
      fmt::format("{}={}", protocol::channel_variable, first_descriptor),
      fmt::format("{}=json", protocol::serialization_variable),
      protocol::own_channel_variable,
      protocol::cluster_variable,
  };
  return handoff;
}

}  // namespace baton
