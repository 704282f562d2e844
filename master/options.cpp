// Master. The flags, each declared once: name, help, check.
#include "master/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "common/error.hpp"
#include "common/settings.hpp"
#include "common/units.hpp"
#include "master/cpus.hpp"

namespace baton {
namespace {

constexpr std::uint16_t default_port = 1337;
constexpr unsigned most_workers = 4096;

constexpr const char* footer =
    "Every setting is also a variable (BATON_WORKERS=4) and a line in the file (workers = 4).\n"
    "A flag wins over the environment, the environment over the file.\n"
    "\n"
    "  baton                                  one worker per CPU on port 1337, each answering its pid\n"
    "  baton -w 4 -l 127.0.0.1:8080           four workers, this machine only\n"
    "  baton -l :80 -l unix:/run/x.sock?mode=0660\n"
    "  baton -w 8 -- node worker.js           your own workers, which get the listener by process.on('message')\n"
    "\n"
    "TERM, INT and QUIT let the workers finish what they are answering; a second INT ends at once.";

/// What the flags say, before it is put together.
struct Given {
  std::vector<std::string> listen;
  std::uint16_t port = default_port;
};

unsigned parse_workers(const std::string& text) {
  if (text == "auto") return usable_cpus();
  try {
    return static_cast<unsigned>(parse_count(text, 1, most_workers, "a number of workers"));
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}, or auto: one per CPU", error.what()));
  }
}

void add_master_settings(Settings& settings, Options& options, Given& given) {
  settings.add("-w,--workers", "N|auto", "Number of workers; auto is one per CPU that baton may use [auto]",
               [&](const std::string& text) { options.workers = parse_workers(text); });
  settings.add("-p,--port", "PORT", "Port of addresses that name none; 0 lets the kernel choose [1337]",
               [&](const std::string& text) {
                 given.port = static_cast<std::uint16_t>(parse_count(text, 0, 65'535, "a port"));
               });
  settings.add_list("-l,--listen", "ADDRESS",
                    "Where to listen, repeatable: :1337, 127.0.0.1:80, [::1]:1337, unix:/run/x.sock?mode=0660, "
                    "unix:@name [all addresses]",
                    [&](const std::vector<std::string>& all) {
                      for (const std::string& each : all) static_cast<void>(parse_address(each, default_port));
                      given.listen = all;
                    });
  settings.add("--backlog", "N", "Connections that may wait to be accepted [the kernel's limit, net.core.somaxconn]",
               [&](const std::string& text) {
                 options.backlog = static_cast<int>(parse_count(text, 1, std::numeric_limits<int>::max(), "a backlog"));
               });
  settings.add("--drain-timeout", "TIME", "Time for workers to finish when stopping, then they are killed [30s]",
               [&](const std::string& text) { options.drain_timeout = parse_duration(text); });
  settings.add("--pid-file", "PATH", "File for the master's pid while it runs",
               [&](const std::string& text) { options.pid_file = text; });
  settings.add("--control", "PATH", "Control socket (reserved: accepted, and without effect in this version)",
               [&](const std::string& text) { options.control = text; });
  settings.add("--dialect", "NAME",
               "How a command's workers get the listener: channel, Node's child.send(…, server) [channel]",
               [](const std::string& text) {
                 if (text != "channel")
                   throw UsageError(fmt::format("\"{}\" is no dialect of this version: channel", text));
               });
  settings.add_config("-c,--config", "File of settings, in TOML: the long names without dashes");
}

std::vector<ListenAddress> addresses(const Given& given) {
  if (given.listen.empty()) return {TcpAddress{std::nullopt, given.port}};
  std::vector<ListenAddress> parsed;
  std::vector<std::string> seen;
  for (const std::string& text : given.listen) {
    ListenAddress address = parse_address(text, given.port);
    const std::string name = to_string(address);
    const auto* network = std::get_if<TcpAddress>(&address);
    const bool is_fixed = network == nullptr || network->port != 0;
    if (is_fixed && std::find(seen.begin(), seen.end(), name) != seen.end())
      throw UsageError(fmt::format("--listen: {} is given twice", name));
    seen.push_back(name);
    parsed.push_back(std::move(address));
  }
  return parsed;
}

}  // namespace

Options parse_options(std::vector<std::string> arguments) {
  Options options;
  // CLI11 would take flags behind the command for ours.
  if (const auto dashes = std::find(arguments.begin(), arguments.end(), "--"); dashes != arguments.end()) {
    options.command.assign(dashes + 1, arguments.end());
    arguments.erase(dashes, arguments.end());
    if (options.command.empty())
      throw UsageError("the command after \"--\" is missing (like: baton -- node worker.js)");
  }
  options.workers = 0;
  options.backlog = std::numeric_limits<int>::max();

  Given given;
  Settings settings("baton [flags] [-- command args…]",
                    "Binds a port, passes the listening socket to N worker processes, and gets out of the way.",
                    "baton " BATON_VERSION);
  add_master_settings(settings, options, given);
  add_worker_settings(settings, options.worker);
  settings.set_footer(footer);
  settings.parse(arguments);

  if (options.workers == 0) options.workers = usable_cpus();
  options.listen = addresses(given);
  for (const std::string& name : settings.unknown_variables())
    options.warnings.push_back(
        fmt::format("the environment variable {} means nothing to baton (baton --help lists the settings)", name));
  return options;
}

}  // namespace baton
