// Master. What the settings mean together.
#include "master/settings/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "common/error.hpp"
#include "master/dialect/placeholders.hpp"
#include "master/settings/flags.hpp"

namespace baton {
namespace {

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// `has_default`: where none is given, there is one.
std::vector<NamedAddress> addresses(const Flags::Given& given, const GivenSockets& sockets, bool has_default) {
  const Ports ports = given.ports.value_or(default_port);
  if (given.listen.empty() && !given.ports && !sockets.empty()) return sockets.all();
  if (given.listen.empty() && !given.ports && !has_default) return {};
  if (given.listen.empty()) {
    NamedAddress only{std::string(default_listener_name), TcpAddress{std::nullopt, ports, {}, false}};
    sockets.assign(only);
    return {only};
  }
  std::vector<NamedAddress> parsed;
  std::vector<std::string> seen;
  std::vector<std::string> names;
  for (const std::string& text : given.listen) {
    NamedAddress named = parse_named_address(text, ports);
    const std::string address = to_string(named.address);
    const auto* network = std::get_if<TcpAddress>(&named.address);
    const bool is_fixed = network == nullptr || network->ports.first != 0;
    if (is_fixed && contains(seen, address)) throw UsageError(fmt::format("--listen: {} is given twice", address));
    if (named.name != default_listener_name && contains(names, named.name))
      throw UsageError(fmt::format("--listen: two listeners are named {}", named.name));
    seen.push_back(address);
    names.push_back(named.name);
    sockets.assign(named);
    parsed.push_back(std::move(named));
  }
  return parsed;
}

void apply_defer_accept(Options& options, const Flags::Given& given) {
  if (given.defer_accept.count() == 0) return;
  bool has_tcp = false;
  for (NamedAddress& each : options.listen)
    if (auto* network = std::get_if<TcpAddress>(&each.address)) {
      network->defer_accept = given.defer_accept;
      has_tcp = true;
    }
  if (!has_tcp && options.listen.empty())
    throw UsageError("--defer-accept: the ports that node-cluster workers ask for can't (-l or -p name one that can)");
  if (!has_tcp) throw UsageError("--defer-accept: only TCP listeners can, and there are none (leave it out)");
}

void apply_dialect(Options& options, const Flags::Given& given) {
  if (options.command.empty() && given.dialect.value_or(Dialect::channel) != Dialect::channel)
    throw UsageError(
        fmt::format("--dialect: {} is for a command's workers (like: baton -- node worker.js)", name(*given.dialect)));
  const DialectChoice choice = choose_dialect(options.command);
  options.dialect = given.dialect.value_or(choice.dialect);
  if (!given.dialect && !options.command.empty()) options.dialect_reason = choice.why;
  // What Einhorn sends; TERM ends its workers at once.
  if (options.process.nonblocking && !inherits_listeners(options.dialect))
    throw UsageError(fmt::format("--nonblocking: it is for workers that inherit their listeners, and not for {}",
                                 options.command.empty() ? "the embedded worker" : name(options.dialect)));
  const bool is_einhorn = options.dialect == Dialect::einhorn && !options.process.stop_signal;
  if (is_einhorn) options.process.stop_signal = SIGUSR2;
}

Readiness usual_readiness(const Options& options) {
  if (options.command.empty()) return Readiness::message;
  return inherits_listeners(options.dialect) ? Readiness::accepts : Readiness::handle;
}

/// Only a worker that keeps our channel's time can be told apart from one that hangs, unless the user says otherwise.
void apply_kind(Options& options, const Flags::Given& given) {
  const bool is_embedded = options.command.empty();
  if (is_embedded && given.ready && *given.ready != Readiness::message)
    throw UsageError("--ready: the embedded worker says when it is ready (message)");
  if (given.ready == Readiness::handle && inherits_listeners(options.dialect))
    throw UsageError("--ready: in this dialect a worker has its listeners from the start (accepts, message or notify)");
  if (given.ready == Readiness::accepts && asks_for_listeners(options.dialect))
    throw UsageError("--ready: a node-cluster worker says by itself that it listens (handle, message or notify)");
  options.ready = given.ready.value_or(usual_readiness(options));
  options.hang_timeout = given.hang_timeout.value_or(is_embedded ? options.hang_timeout : std::chrono::milliseconds(0));
  if (!is_embedded && options.worker.max_requests > 0)
    throw UsageError("--max-requests: only the embedded worker's requests can be counted (--max-lifetime suits any)");
  options.worker.take_turns = options.policy == Policy::shared;
  // Four signs of life within the time: one may be late, or lost to a full channel.
  options.worker.heartbeat = is_embedded ? options.hang_timeout / 4 : std::chrono::milliseconds(0);
}

/// CLI11 would take flags behind the command for ours.
std::vector<std::string> take_command(std::vector<std::string>& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  if (dashes == arguments.end()) return {};
  std::vector<std::string> command(dashes + 1, arguments.end());
  arguments.erase(dashes, arguments.end());
  if (command.empty()) throw UsageError("the command after \"--\" is missing (like: baton -- node worker.js)");
  return command;
}

}  // namespace

Options parse_options(std::vector<std::string> arguments, const GivenSockets& sockets) {
  Flags declared;
  Options& options = declared.options;
  const Flags::Given& given = declared.given;
  Settings& settings = declared.settings;
  options.command = take_command(arguments);
  settings.parse(arguments);

  apply_dialect(options, given);
  options.listen = addresses(given, sockets, !asks_for_listeners(options.dialect));
  for (const NamedAddress& each : sockets.left_by(options.listen))
    options.warnings.push_back(fmt::format(
        "the given socket {} is not served: it is no --listen's, by its address or its name", to_string(each)));
  apply_defer_accept(options, given);
  if (!options.command.empty())
    check_placeholders(options.command, options.listen, inherits_listeners(options.dialect));
  apply_kind(options, given);
  complete(options.process, options.command.empty());
  for (const std::string& name : settings.unknown_variables())
    options.warnings.push_back(
        fmt::format("the environment variable {} means nothing to baton (baton --help lists the settings)", name));
  return std::move(options);
}

std::vector<SettingDescription> describe_settings(std::vector<std::string> arguments) {
  Flags declared;
  static_cast<void>(take_command(arguments));
  declared.settings.parse(arguments);
  return declared.settings.descriptions();
}

}  // namespace baton
