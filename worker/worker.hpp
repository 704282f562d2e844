// Worker. The embedded worker: takes listeners (and connections) from its channel, accepts, answers, and leaves when
// told to or when the channel ends. Owns the channel, the acceptors and the sessions.
#pragma once

#include <string>
#include <vector>

namespace baton {

/// Runs the worker's role with the arguments behind `baton worker`, on the channel that the environment names.
/// Returns the exit code. Throws UsageError, InformationAsked, std::system_error.
int run_worker(const std::vector<std::string>& arguments);

}  // namespace baton
