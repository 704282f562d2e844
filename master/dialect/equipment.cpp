// Master. Which dialect's equipment; and what every worker gets.
#include "master/dialect/equipment.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/protocol.hpp"

namespace baton {
namespace {

Equipment of_dialect(Dialect dialect, const Recruit& recruit, Fd channel) {
  switch (dialect) {
    case Dialect::channel:
      break;
    case Dialect::node_cluster:
      return equip_node_cluster(recruit, std::move(channel));
    case Dialect::listen_fds:
      return equip_listen_fds(recruit, std::move(channel));
    case Dialect::einhorn:
      return equip_einhorn(recruit, std::move(channel));
    case Dialect::server_starter:
      return equip_server_starter(recruit, std::move(channel));
  }
  return equip_channel(recruit, std::move(channel));
}

}  // namespace

Equipment equip(Dialect dialect, const Recruit& recruit, Fd channel) {
  Equipment equipment = of_dialect(dialect, recruit, std::move(channel));
  // What another supervisor above this one meant for this process is not for its workers.
  for (const char* each : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "EINHORN_FD_COUNT", "EINHORN_SOCK_PATH",
                           "SERVER_STARTER_PORT", "SERVER_STARTER_GENERATION"})
    equipment.variables.emplace_back(each);
  equipment.variables.push_back(fmt::format("{}={}", protocol::number_variable, recruit.number));
  equipment.variables.push_back(fmt::format("{}={}", protocol::start_variable, recruit.id));
  return equipment;
}

}  // namespace baton
