// Client. `baton status`, `scale`, `reload`, `stop` and `events`: a short-lived process that asks the running master
// over its control socket. Owns its connections.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

bool is_client_command(std::string_view word);

/// `arguments` begin with the command. Returns the exit code: 0 when it went well, 1 when the master says that it did
/// not. Throws UsageError, StartError (no master, or it went away), InformationAsked.
int run_client(const std::vector<std::string>& arguments);
/// The same with other streams than the standard ones.
int run_client(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err);

}  // namespace baton
