// Master. What the user asked for, checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/settings.hpp"
#include "common/worker_settings.hpp"
#include "master/dialect/dialect.hpp"
#include "master/listeners/address.hpp"
#include "master/listeners/given_sockets.hpp"
#include "master/policy/policy.hpp"
#include "master/settings/process_options.hpp"

namespace baton {

constexpr unsigned most_workers = 4096;
constexpr std::uint16_t default_port = 1337;

/// What makes a worker ready.
enum class Readiness : std::uint8_t {
  message,  ///< it says "ready" on its channel, as the embedded worker does
  handle,   ///< it has taken every listener
  notify,   ///< it sends READY=1 to NOTIFY_SOCKET, as to systemd
  accepts,  ///< it is seen to wait for connections; or one of the first and the third
};

struct Options {
  unsigned workers = 1;
  std::vector<NamedAddress> listen;
  Policy policy = Policy::shared;
  int backlog = 0;  ///< connections; the kernel lowers it to net.core.somaxconn
  std::string pid_file;
  std::string state_file;            ///< of what workers share; empty: it is kept in memory alone
  std::string name;                  ///< of this master; empty: its first address
  std::string control;               ///< path of the control socket; empty: the default one
  std::vector<std::string> command;  ///< of a foreign worker; empty: the embedded one
  Dialect dialect = Dialect::channel;
  std::string dialect_reason;  ///< why it was picked; empty: it was asked for
  Readiness ready = Readiness::message;
  std::chrono::milliseconds ready_timeout{30'000};
  std::chrono::milliseconds drain_timeout{30'000};
  std::chrono::milliseconds hang_timeout{10'000};  ///< 0: never
  std::chrono::milliseconds max_lifetime{0};       ///< of a worker; 0: no limit
  std::uint64_t max_memory = 0;                    ///< bytes of a worker's resident set; 0: no limit
  unsigned surge = 1;                              ///< workers that are replaced at a time
  ProcessSettings process;
  WorkerSettings worker;
  std::vector<std::string> warnings;  ///< to be logged once there is a log
};

/// `arguments` without the program's name. `sockets`: those that are listened on in the place of ours. Throws
/// UsageError, InformationAsked.
Options parse_options(std::vector<std::string> arguments, const GivenSockets& sockets = {});

/// All settings, with what the arguments and the environment give them. Throws as parse_options(), which also looks at
/// how they go together.
std::vector<SettingDescription> describe_settings(std::vector<std::string> arguments);

std::string_view name(Readiness readiness);

}  // namespace baton
