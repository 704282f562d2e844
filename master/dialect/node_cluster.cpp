// Master. The dialect `node-cluster`: the worker takes itself for one that Node's cluster.fork() started, so that its
// program's listen() asks on the channel for a listener. The conversation is in supervisor_cluster.cpp.
//
// Its id there is that of its start, and not its number: Node promises a new one for each worker, and during a reload
// two of one number live.
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "common/protocol.hpp"
#include "master/dialect/equipment.hpp"

namespace baton {

Equipment equip_node_cluster(const Recruit& recruit, Fd channel) {
  Equipment equipment = equip_channel(recruit, std::move(channel));
  std::erase(equipment.variables, protocol::cluster_variable);
  equipment.variables.push_back(fmt::format("{}={}", protocol::cluster_variable, recruit.id));
  return equipment;
}

}  // namespace baton
