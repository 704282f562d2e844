// Master. The environment that a worker's process is started with, beyond what its dialect needs. Pure.
#pragma once

#include <string>
#include <vector>

#include "master/settings/options.hpp"

namespace baton {

/// Sockets of the master that a worker is told of.
struct MasterSockets {
  std::string control;  ///< path; empty: there is none
  std::string notify;   ///< address for NOTIFY_SOCKET; empty: there is none
};

/// As SpawnSetup::variables: "NAME=value" to be set, and "NAME" where the master's own value is not for the worker.
std::vector<std::string> worker_variables(const Options& options, const MasterSockets& sockets);

}  // namespace baton
