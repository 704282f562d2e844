// Master. The dialects' names, and the choice among them.
#include "master/dialect/dialect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "common/error.hpp"
#include "master/dialect/placeholders.hpp"

namespace baton {
namespace {

constexpr std::array<std::string_view, 5> dialect_names{"channel", "node-cluster", "listen-fds", "einhorn",
                                                        "server-starter"};

}  // namespace

std::optional<Dialect> parse_dialect(const std::string& text) {
  if (text == "auto") return std::nullopt;
  const auto* found = std::find(dialect_names.begin(), dialect_names.end(), text);
  if (found == dialect_names.end())
    throw UsageError(fmt::format("\"{}\" is no dialect: auto, {}", text, fmt::join(dialect_names, ", ")));
  return static_cast<Dialect>(found - dialect_names.begin());
}

std::string_view name(Dialect dialect) {
  return dialect_names.at(static_cast<std::size_t>(dialect));
}

DialectChoice choose_dialect(const std::vector<std::string>& command) {
  if (command.empty()) return {Dialect::channel, "the workers are baton's own"};
  if (names_descriptor(command)) return {Dialect::listen_fds, "{fd} stands in the command"};
  const std::string program = std::filesystem::path(command.front()).filename();
  for (const std::string_view each : {"node", "nodejs", "bun"})
    if (program == each) return {Dialect::node_cluster, fmt::format("{} knows Node's cluster", program)};
  return {Dialect::listen_fds, fmt::format("{} is not node or bun", program)};
}

bool inherits_listeners(Dialect dialect) {
  switch (dialect) {
    case Dialect::listen_fds:
    case Dialect::einhorn:
    case Dialect::server_starter:
      return true;
    case Dialect::channel:
    case Dialect::node_cluster:
      return false;
  }
  return false;
}

bool asks_for_listeners(Dialect dialect) {
  return dialect == Dialect::node_cluster;
}

}  // namespace baton
