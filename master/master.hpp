// Master. Puts the parts together: options, listeners, workers, signals.
#pragma once

#include <string>
#include <vector>

namespace baton {

/// Runs the master's role until it is told to stop or has no worker left. Returns the exit code.
/// Throws UsageError, StartError, InformationAsked, std::system_error.
int run_master(const std::vector<std::string>& arguments);

}  // namespace baton
