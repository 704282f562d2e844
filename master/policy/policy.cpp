// Master. The policies by name.
#include "master/policy/policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/error.hpp"
#include "master/policy/connection_policy.hpp"
#include "master/policy/least_connections.hpp"
#include "master/policy/own_port.hpp"
#include "master/policy/reuseport.hpp"
#include "master/policy/round_robin.hpp"
#include "master/policy/shared.hpp"
#include "master/policy/socket_policy.hpp"
#include "master/policy/source.hpp"

namespace baton {
namespace {

constexpr std::array<std::string_view, 6> policy_names{"shared",    "reuseport", "roundrobin",
                                                       "leastconn", "source",    "own-port"};

}  // namespace

Policy parse_policy(const std::string& text) {
  const auto* found = std::find(policy_names.begin(), policy_names.end(), text);
  if (found == policy_names.end())
    throw UsageError(
        fmt::format("\"{}\" is no policy: shared, reuseport, roundrobin, leastconn, source or own-port", text));
  return static_cast<Policy>(found - policy_names.begin());
}

std::string_view name(Policy policy) {
  return policy_names.at(static_cast<std::size_t>(policy));
}

bool hands_connections(Policy policy) {
  return policy == Policy::roundrobin || policy == Policy::leastconn || policy == Policy::source;
}

const SocketPolicy& socket_policy(Policy policy) {
  static const SharedSocket shared;
  static const ReuseportSockets reuseport;
  static const OwnPortSockets own_port;
  switch (policy) {
    case Policy::reuseport:
      return reuseport;
    case Policy::own_port:
      return own_port;
    case Policy::shared:
    case Policy::roundrobin:  // the master accepts, from one listener
    case Policy::leastconn:
    case Policy::source:
      break;
  }
  return shared;
}

std::unique_ptr<ConnectionPolicy> make_connection_policy(Policy policy) {
  switch (policy) {
    case Policy::roundrobin:
      return std::make_unique<RoundRobin>();
    case Policy::leastconn:
      return std::make_unique<LeastConnections>();
    case Policy::source:
      return std::make_unique<Source>();
    case Policy::shared:
    case Policy::reuseport:
    case Policy::own_port:
      return nullptr;
  }
  return nullptr;
}

}  // namespace baton
