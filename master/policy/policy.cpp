// Master. The policies' names.
#include "master/policy/policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/error.hpp"

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

}  // namespace baton
