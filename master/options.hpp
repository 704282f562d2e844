// Master. What the user asked for, checked.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/worker_settings.hpp"
#include "master/address.hpp"

namespace baton {

struct Options {
  unsigned workers = 1;
  std::vector<ListenAddress> listen;
  int backlog = 0;  ///< connections; the kernel lowers it to net.core.somaxconn
  std::string pid_file;
  std::string control;               ///< reserved for the control socket
  std::vector<std::string> command;  ///< of a foreign worker; empty: the embedded one
  std::chrono::milliseconds drain_timeout{30'000};
  WorkerSettings worker;
  std::vector<std::string> warnings;  ///< to be logged once there is a log
};

/// `arguments` without the program's name. Throws UsageError, InformationAsked.
Options parse_options(std::vector<std::string> arguments);

}  // namespace baton
