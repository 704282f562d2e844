// Master. The dialect `node-cluster`: the worker takes itself for one that Node's cluster.fork() started, so that its
// program's listen() asks on the channel for a listener. The conversation is in master/cluster/cluster_primary.cpp.
//
// Its id there is that of its start, and not its number: Node promises a new one for each worker, and during a reload
// two of one number live.
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "common/protocol.hpp"
#include "master/dialect/handoff.hpp"

namespace baton {

Handoff hand_off_node_cluster(const WorkerSpec& spec, Fd channel) {
  Handoff handoff = hand_off_channel(spec, std::move(channel));
  std::erase(handoff.variables, protocol::cluster_variable);
  handoff.variables.push_back(fmt::format("{}={}", protocol::cluster_variable, spec.id));
  return handoff;
}

}  // namespace baton
