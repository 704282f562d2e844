// Master. The flags: name, help, check.
#include "master/settings/flags.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <string_view>

#include "common/error.hpp"
#include "common/units.hpp"
#include "master/control/verbs.hpp"
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

void add_master_settings(Settings& settings, Options& options, Flags::Given& given) {
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

void add_lifecycle_settings(Settings& settings, Options& options, Flags::Given& given) {
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

}  // namespace

Flags::Flags()
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

std::string_view name(Readiness readiness) {
  return readiness_names.at(static_cast<std::size_t>(readiness));
}

}  // namespace baton
