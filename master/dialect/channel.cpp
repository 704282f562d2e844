// Master. The dialect `channel`: nothing but the channel, as Node's child_process.fork() gives it. The listeners follow
// on it.
#include <fmt/format.h>

#include <utility>

#include "common/protocol.hpp"
#include "master/dialect/equipment.hpp"
#include "master/dialect/placeholders.hpp"

namespace baton {

Equipment equip_channel(const Recruit& recruit, Fd channel) {
  Equipment equipment;
  equipment.descriptors.push_back(std::move(channel));
  std::vector<ListenerFacts> listeners;
  listeners.reserve(recruit.listeners.size());
  for (const auto& each : recruit.listeners) listeners.push_back({each->name(), std::nullopt, each->address()});
  equipment.arguments = fill_placeholders(recruit.arguments, listeners, recruit.number);
  equipment.variables = {
      fmt::format("{}={}", protocol::channel_variable, first_descriptor),
      fmt::format("{}=json", protocol::serialization_variable),
      protocol::own_channel_variable,
      protocol::cluster_variable,
  };
  return equipment;
}

}  // namespace baton
