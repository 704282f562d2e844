// Doctor. The flags: a few of its own, and all of baton's.
#include "master/doctor/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "common/error.hpp"
#include "common/settings.hpp"
#include "common/units.hpp"
#include "master/listeners/address.hpp"
#include "master/settings/policy_compatibility.hpp"

namespace baton::doctor {
namespace {

using Words = std::vector<std::string>;

constexpr std::string_view footer =
    "The other flags are baton's, and mean what they mean there: give those that you would run the command with.\n"
    "Unless they say where, the command listens on a port of its own on 127.0.0.1.\n"
    "\n"
    "  baton doctor -- node app.js\n"
    "  baton doctor --json --dialect channel -- node worker.js\n"
    "\n"
    "Exit code: 0 nothing is wrong, 1 something is, 2 wrong usage, 3 the command can't be run at all.";

std::string parse_path(const std::string& text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (text.starts_with('/') && is_plain) return text;
  throw UsageError(fmt::format("\"{}\" is no path of a request (like /health)", text));
}

std::chrono::milliseconds parse_time_limit(const std::string& text) {
  const auto time = parse_duration(text);
  if (time.count() == 0) throw UsageError(fmt::format("\"{}\" leaves no time at all", text));
  return time;
}

/// Where nobody said where.
bool is_default(const std::vector<NamedAddress>& listen) {
  if (listen.empty()) return true;
  const auto* const tcp = std::get_if<TcpAddress>(&listen.front().address);
  return listen.size() == 1 && tcp != nullptr && !tcp->host && tcp->ports.first == default_port;
}

void check_listeners(const Options& options) {
  if (options.policy == Policy::own_port)
    throw UsageError("--policy: own-port has nothing to share, and can't be examined (leave it out)");
  for (const NamedAddress& each : options.listen)
    if (!std::holds_alternative<TcpAddress>(each.address) || each.given)
      throw UsageError(
          fmt::format("--listen: {} can't be examined: a TCP address of baton's own is wanted (leave it out)",
                      to_string(each.address)));
}

}  // namespace

bool Plan::defers_accept() const {
  return std::any_of(options.listen.begin(), options.listen.end(), [](const NamedAddress& each) {
    const auto* const tcp = std::get_if<TcpAddress>(&each.address);
    return tcp != nullptr && tcp->defer_accept.count() > 0;
  });
}

Plan parse_plan(const Words& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  Plan plan;
  plan.time_limit = std::chrono::minutes(3);
  Settings settings("baton doctor [flags] [flags of baton] -- command args…",
                    "Runs a command through a worker's whole life, and tells what would go wrong.",
                    "baton " BATON_VERSION);
  settings.add_flag("--json", "Print the report in JSON", plan.as_json);
  settings.add("--path", "PATH", "What is requested of it, over HTTP [/]",
               [&](const std::string& text) { plan.path = parse_path(text); });
  settings.add("--timeout", "TIME", "Time for all of it [3m]",
               [&](const std::string& text) { plan.time_limit = parse_time_limit(text); });
  settings.set_footer(std::string(footer));
  settings.leave_others();
  settings.parse({arguments.begin(), dashes});
  if (arguments.end() - dashes < 2)
    throw UsageError("the command is missing (usage: baton doctor [flags] -- command args…)");

  Words all = settings.others();
  all.emplace_back("--workers=2");
  plan.arguments = all;
  all.insert(all.end(), dashes, arguments.end());
  plan.options = parse_options(all);
  check_listeners(plan.options);
  check_policy_compatibility(plan.options, plan.options.workers);
  if (is_default(plan.options.listen)) plan.arguments.emplace_back("--listen=127.0.0.1:0");
  return plan;
}

}  // namespace baton::doctor
