// Master. The dialect `einhorn`: the worker has its listeners from the start, and finds them as from Stripe's Einhorn;
// it may say on a socket of the master's that it is ready.
#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "master/dialect/inherited.hpp"

namespace baton {

Handoff hand_off_einhorn(const WorkerSpec& spec, Fd channel) {
  Inherited inherited(spec, std::move(channel));
  Handoff& handoff = inherited.handoff;
  handoff.ack_socket.emplace(spec.user);
  std::string numbers;
  const auto set = [&](const std::string& name, const auto& value) {
    handoff.variables.push_back(fmt::format("EINHORN_{}={}", name, value));
  };
  for (std::size_t i = 0; i < inherited.listeners.size(); ++i) {
    const ListenerFacts& each = inherited.listeners[i];
    const bool is_unix = each.address.starts_with("unix:");
    const bool is_v6 = each.address.starts_with("[");
    set(fmt::format("FD_{}", i), *each.descriptor);
    set(fmt::format("FD_FAMILY_{}", i), is_unix ? "AF_UNIX" : is_v6 ? "AF_INET6" : "AF_INET");
    numbers += fmt::format("{}{}", numbers.empty() ? "" : " ", *each.descriptor);
  }
  set("FD_COUNT", inherited.listeners.size());
  set("FDS", numbers);
  set("MASTER_PID", ::getpid());
  set("CHILD_INDEX", spec.number - 1);
  set("SOCK_PATH", handoff.ack_socket->path());
  handoff.variables.emplace_back("EINHORN_SOCK_FD");
  return std::move(handoff);
}

}  // namespace baton
