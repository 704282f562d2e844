// Master. Each combination that makes no sense, with the reason and the way out.
#include "master/settings/policy_compatibility.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "common/error.hpp"

namespace baton {
namespace {

[[noreturn]] void refuse(const NamedAddress& address, const std::string& why) {
  throw UsageError(fmt::format("--listen: {}: {}", to_string(address), why));
}

void check_unix(Policy policy, const NamedAddress& named) {
  if (policy == Policy::reuseport)
    refuse(named, "reuseport is for TCP: only one Unix socket can have a name (shared is for both)");
  if (policy == Policy::own_port)
    refuse(named, "own-port gives each worker a TCP port, and a Unix socket has none (shared is for both)");
  if (policy == Policy::source)
    refuse(named, "source goes by the client's address, and a Unix socket's clients have none (leastconn is for both)");
}

void check_ports(Policy policy, const NamedAddress& named, const Ports& ports, unsigned workers) {
  if (policy != Policy::own_port) {
    if (ports.is_range()) refuse(named, "a range of ports is for --policy own-port");
    return;
  }
  if (ports.first == 0) return;
  const int example = std::min<int>(ports.first, 65'528);
  if (!ports.is_range())
    refuse(named,
           fmt::format(
               "own-port wants a port for each worker: 0, for which the kernel chooses them, or a range like {}-{}",
               example, example + 7));
  if (ports.count() < workers)
    refuse(named, fmt::format("{} port{} for {} workers, and own-port wants one for each", ports.count(),
                              ports.count() == 1 ? "" : "s", workers));
}

}  // namespace

void check_policy_compatibility(const Options& options, unsigned workers) {
  if (hands_connections(options.policy) && inherits_listeners(options.dialect))
    throw UsageError(
        fmt::format("--policy: {} hands connections over by messages, and {} workers accept for themselves (shared, "
                    "reuseport and own-port are for them)",
                    name(options.policy), name(options.dialect)));
  const auto& all = options.listen;
  for (const NamedAddress& each : all)
    if (each.given && (options.policy == Policy::reuseport || options.policy == Policy::own_port))
      refuse(each,
             fmt::format("a socket from LISTEN_FDS is one, and {} wants one for each worker (shared and the policies "
                         "that hand connections over need one)",
                         name(options.policy)));
  const bool has_many = options.policy == Policy::reuseport || options.policy == Policy::own_port;
  if (has_many && all.empty())
    throw UsageError(
        fmt::format("--policy: {} gives each worker a listener of its own, and all node-cluster workers ask for one "
                    "(-l or -p names addresses for it; shared, roundrobin, leastconn and source need none)",
                    name(options.policy)));
  if (hands_connections(options.policy) && options.ready == Readiness::accepts)
    throw UsageError(fmt::format("--ready: under {} a worker has no listener to wait for (handle, message or notify)",
                                 name(options.policy)));
  for (const NamedAddress& each : all) {
    if (const auto* network = std::get_if<TcpAddress>(&each.address))
      check_ports(options.policy, each, network->ports, workers);
    else
      check_unix(options.policy, each);
  }
  if (options.policy != Policy::own_port) return;
  for (auto one = all.begin(); one != all.end(); ++one)
    for (auto other = std::next(one); other != all.end(); ++other)
      if (overlap(one->address, other->address))
        refuse(*one,
               fmt::format("has ports in common with {}, and own-port needs each for one worker", to_string(*other)));
}

}  // namespace baton
