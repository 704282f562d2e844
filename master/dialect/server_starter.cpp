// Master. The dialect `server-starter`: the worker has its listeners from the start, and finds them as from Perl's
// Server::Starter, in SERVER_STARTER_PORT: "127.0.0.1:80=3;/run/x.sock=4". There is no acknowledgement: a worker that
// is seen to accept is better than one that has lived for a second.
#include <fmt/format.h>

#include <utility>

#include "master/dialect/inherited.hpp"

namespace baton {

Handoff hand_off_server_starter(const WorkerSpec& spec, Fd channel) {
  constexpr std::string_view unix_prefix = "unix:";
  Inherited inherited(spec, std::move(channel));
  std::string ports;
  for (const ListenerFacts& each : inherited.listeners) {
    std::string_view address = each.address;
    if (address.starts_with(unix_prefix)) address.remove_prefix(unix_prefix.size());
    ports += fmt::format("{}{}={}", ports.empty() ? "" : ";", address, *each.descriptor);
  }
  Handoff& handoff = inherited.handoff;
  handoff.variables.push_back("SERVER_STARTER_PORT=" + ports);
  handoff.variables.push_back(fmt::format("SERVER_STARTER_GENERATION={}", spec.generation));
  return std::move(handoff);
}

}  // namespace baton
