// Master. Numbers for the listeners.
#include "master/dialect/inherited.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/protocol.hpp"

namespace baton {

Inherited::Inherited(const Recruit& recruit, Fd channel) {
  int next = first_descriptor;
  for (const auto& each : recruit.listeners) {
    equipment.descriptors.push_back(each->copy_to_inherit(recruit.nonblocking));
    listeners.push_back({each->name(), next++, each->address()});
  }
  equipment.descriptors.push_back(std::move(channel));
  equipment.arguments = fill_placeholders(recruit.arguments, listeners, recruit.number);
  equipment.variables = {fmt::format("{}={}", protocol::own_channel_variable, next), protocol::channel_variable,
                         protocol::serialization_variable, protocol::cluster_variable};
}

}  // namespace baton
