// Master. The flags, each declared once: name, help, check.
#include "master/settings/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <limits>

#include "common/error.hpp"
#include "common/settings.hpp"
#include "common/units.hpp"
#include "master/control/verbs.hpp"
#include "master/dialect/placeholders.hpp"
#include "master/system/cpus.hpp"

namespace baton {
namespace {

constexpr std::string_view footer =
    "Before one runs:\n"
    "  baton doctor -- command…  run it through a worker's whole life, and tell what would go wrong\n"
    "  baton init -- command…    write a file with every setting explained, and a systemd unit\n"
    "\n"
    "Every setting is also a variable (BATON_WORKERS=4) and a line in the file (workers = 4).\n"
    "A flag wins over the environment, the environment over the file.\n"
    "\n"
    "  baton                                  one worker per CPU on port 1337, each answering its pid\n"
    "  baton -w 4 -l 127.0.0.1:8080           four workers, this machine only\n"
    "  baton -l :80 -l unix:/run/x.sock?mode=0660\n"
    "  baton -w 8 -- node app.js              any Node program, which is asked nothing: its listen() is shared\n"
    "\n"
    "TERM, INT and QUIT let the workers finish what they are answering; a second INT ends at once. HUP reads the\n"
    "settings again and replaces every worker, one after another. TTIN and TTOU start and stop one worker.";

/// What the flags say, before it is put together.
struct Given {
  std::vector<std::string> listen;
  std::optional<Ports> ports;
  std::chrono::seconds defer_accept{0};
  std::optional<Dialect> dialect;  ///< nothing: auto
  std::optional<Readiness> ready;
  std::optional<std::chrono::milliseconds> hang_timeout;
};

constexpr std::array<std::string_view, 4> readiness_names{"message", "handle", "notify", "accepts"};

Readiness parse_readiness(const std::string& text) {
  for (std::size_t i = 0; i < readiness_names.size(); ++i)
    if (readiness_names.at(i) == text) return static_cast<Readiness>(i);
  throw UsageError(fmt::format("\"{}\" is no sign of readiness: message, handle, notify or accepts", text));
}

std::chrono::milliseconds parse_ready_timeout(const std::string& text) {
  const auto duration = parse_duration(text);
  if (duration.count() == 0) throw UsageError(fmt::format("\"{}\" leaves a worker no time to start", text));
  return duration;
}

/// The name is a file's, in the directory of control sockets.
std::string parse_name(const std::string& text) {
  constexpr std::size_t longest = 64;
  if (text.size() > longest) throw UsageError(fmt::format("a name of {} bytes (at most {})", text.size(), longest));
  for (const char c : text)
    if (c == '/' || c == '\0' || static_cast<unsigned char>(c) < ' ')
      throw UsageError(fmt::format("\"{}\" can't be a name (no slashes and no control characters)", text));
  if (text == "." || text == "..") throw UsageError(fmt::format("\"{}\" can't be a name", text));
  return text;
}

unsigned parse_workers(const std::string& text) {
  if (text == "auto") return usable_cpus();
  try {
    return static_cast<unsigned>(parse_count(text, 0, most_workers, "a number of workers"));
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}, or auto: one per CPU", error.what()));
  }
}

std::chrono::seconds parse_defer_accept(const std::string& text) {
  using namespace std::chrono_literals;
  const auto time = parse_duration(text);
  if (time % 1s != 0ms || time > 1h)
    throw UsageError(fmt::format("\"{}\": whole seconds are wanted, up to 1h (the kernel counts no finer)", text));
  return std::chrono::duration_cast<std::chrono::seconds>(time);
}

void add_master_settings(Settings& settings, Options& options, Given& given) {
  settings.add("-w,--workers", "N|auto", "Number of workers; auto is one per CPU that baton may use [auto]",
               [&](const std::string& text) { options.workers = parse_workers(text); });
  settings.add("-p,--port", "PORT",
               "Port of addresses that name none; 0 lets the kernel choose; with own-port a range [1337]",
               [&](const std::string& text) { given.ports = parse_ports(text); });
  settings.add_list("-l,--listen", "ADDRESS",
                    "Where to listen, repeatable: :1337, 127.0.0.1:80, [::1]:1337, unix:/run/x.sock?mode=0660, "
                    "unix:@name, or one of these with a name for the worker: api=:8080 [all addresses]",
                    [&](const std::vector<std::string>& all) {
                      for (const std::string& each : all) static_cast<void>(parse_named_address(each, default_port));
                      given.listen = all;
                    });
  settings.add("--policy", "NAME",
               "Who gets the next connection: shared, reuseport, roundrobin, leastconn, source, own-port [shared]",
               [&](const std::string& text) { options.policy = parse_policy(text); });
  settings.add("--backlog", "N", "Connections that may wait to be accepted [the kernel's limit, net.core.somaxconn]",
               [&](const std::string& text) {
                 options.backlog = static_cast<int>(parse_count(text, 1, std::numeric_limits<int>::max(), "a backlog"));
               });
  settings.add("--defer-accept", "TIME",
               "How long the kernel keeps a TCP connection to itself until the client's first bytes are here, in whole "
               "seconds; 0 is not at all [0]",
               [&](const std::string& text) { given.defer_accept = parse_defer_accept(text); });
  settings.add("--pid-file", "PATH", "File for the master's pid while it runs",
               [&](const std::string& text) { options.pid_file = text; });
  settings.add("--state-file", "PATH", "File that keeps what workers share beyond baton's end [kept in memory alone]",
               [&](const std::string& text) { options.state_file = text; });
  settings.add("--name", "NAME", "What this baton is called by its clients (baton status --name) [its first address]",
               [&](const std::string& text) { options.name = parse_name(text); });
  settings.add("--control", "PATH", "Control socket [NAME.sock in $XDG_RUNTIME_DIR/baton or /run/baton]",
               [&](const std::string& text) { options.control = text; });
  settings.add("--dialect", "NAME",
               "How a command's workers get the listener: node-cluster (their listen() asks for it), channel (Node's "
               "child.send('server', server)), listen-fds (systemd's LISTEN_FDS, and {fd} in the command), einhorn, "
               "server-starter, or auto: by the command [auto]",
               [&](const std::string& text) { given.dialect = parse_dialect(text); });
  settings.add_config("-c,--config", "File of settings, in TOML: the long names without dashes");
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void add_lifecycle_settings(Settings& settings, Options& options, Given& given) {
  settings.add(
      "--ready", "SIGN",
      "What makes a command's worker ready: handle (it took the listener, or listens), message "
      "(process.send('ready')), notify (READY=1 to NOTIFY_SOCKET), accepts (it waits for connections) [handle; "
      "accepts where listeners are inherited]",
      [&](const std::string& text) { given.ready = parse_readiness(text); });
  settings.add("--ready-timeout", "TIME", "Time for a worker to get ready, then it is replaced [30s]",
               [&](const std::string& text) { options.ready_timeout = parse_ready_timeout(text); });
  settings.add("--drain-timeout", "TIME", "Time for a worker to finish, then it is told to end, and killed [30s]",
               [&](const std::string& text) { options.drain_timeout = parse_duration(text); });
  settings.add("--hang-timeout", "TIME",
               "Time without a sign of life (WATCHDOG=1 of a command) after which a worker is killed and replaced; "
               "0 is never [10s; never for a command]",
               [&](const std::string& text) { given.hang_timeout = parse_duration(text); });
  settings.add("--max-lifetime", "TIME", "Time after which a worker is replaced, less up to a tenth; 0 is never [0]",
               [&](const std::string& text) { options.max_lifetime = parse_duration(text); });
  settings.add("--max-memory", "SIZE", "Resident memory at which a worker is replaced; 0 is no limit [0]",
               [&](const std::string& text) { options.max_memory = parse_size(text); });
  settings.add("--surge", "N", "Workers that a reload replaces at a time [1]", [&](const std::string& text) {
    options.surge = static_cast<unsigned>(parse_count(text, 1, most_workers, "a number of workers"));
  });
}

/// `has_default`: where none is given, there is one.
std::vector<NamedAddress> addresses(const Given& given, const GivenSockets& sockets, bool has_default) {
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

void apply_defer_accept(Options& options, const Given& given) {
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

void apply_dialect(Options& options, const Given& given) {
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
void apply_kind(Options& options, const Given& given) {
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

/// The settings, and where their values go.
struct Declaration {
  Declaration()
      : settings("baton [flags] [-- command args…]",
                 "Binds a port, passes the listening socket to N worker processes, and gets out of the way.",
                 "baton " BATON_VERSION) {
    options.workers = usable_cpus();
    options.backlog = std::numeric_limits<int>::max();
    add_master_settings(settings, options, given);
    add_lifecycle_settings(settings, options, given);
    add_process_settings(settings, options.process);
    add_worker_settings(settings, options.worker);
    settings.set_footer(verbs_help() + "\n" + std::string(footer));
  }
  Declaration(const Declaration&) = delete;
  Declaration& operator=(const Declaration&) = delete;

  Options options;
  Given given;
  Settings settings;
};

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
  Declaration declared;
  Options& options = declared.options;
  const Given& given = declared.given;
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
  Declaration declared;
  static_cast<void>(take_command(arguments));
  declared.settings.parse(arguments);
  return declared.settings.descriptions();
}

std::string_view name(Readiness readiness) {
  return readiness_names.at(static_cast<std::size_t>(readiness));
}

}  // namespace baton
