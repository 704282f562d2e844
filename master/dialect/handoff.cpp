// Master. Which dialect's handoff; and what every worker gets.
#include "master/dialect/handoff.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/protocol.hpp"

namespace baton {
namespace {

Handoff of_dialect(Dialect dialect, const WorkerSpec& spec, Fd channel) {
  switch (dialect) {
    case Dialect::channel:
      break;
    case Dialect::node_cluster:
      return hand_off_node_cluster(spec, std::move(channel));
    case Dialect::listen_fds:
      return hand_off_listen_fds(spec, std::move(channel));
    case Dialect::einhorn:
      return hand_off_einhorn(spec, std::move(channel));
    case Dialect::server_starter:
      return hand_off_server_starter(spec, std::move(channel));
  }
  return hand_off_channel(spec, std::move(channel));
}

}  // namespace

Handoff make_handoff(Dialect dialect, const WorkerSpec& spec, Fd channel) {
  Handoff handoff = of_dialect(dialect, spec, std::move(channel));
  // What another supervisor above this one meant for this process is not for its workers.
  for (const char* each : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "EINHORN_FD_COUNT", "EINHORN_SOCK_PATH",
                           "SERVER_STARTER_PORT", "SERVER_STARTER_GENERATION"})
    handoff.variables.emplace_back(each);
  handoff.variables.push_back(fmt::format("{}={}", protocol::number_variable, spec.number));
  handoff.variables.push_back(fmt::format("{}={}", protocol::start_variable, spec.id));
  return handoff;
}

}  // namespace baton
