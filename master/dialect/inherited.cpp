// Master. Numbers for the listeners.
#include "master/dialect/inherited.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/protocol.hpp"

namespace baton {

Inherited::Inherited(const WorkerSpec& spec, Fd channel) {
  int next = first_descriptor;
  for (const auto& each : spec.listeners) {
    handoff.descriptors.push_back(each->copy_to_inherit(spec.nonblocking));
    listeners.push_back({each->name(), next++, each->address()});
  }
  handoff.descriptors.push_back(std::move(channel));
  handoff.arguments = fill_placeholders(spec.arguments, listeners, spec.number);
  handoff.variables = {fmt::format("{}={}", protocol::own_channel_variable, next), protocol::channel_variable,
                       protocol::serialization_variable, protocol::cluster_variable};
}

}  // namespace baton
