// Init. `baton init -- command`: writes a configuration file with every setting explained, and the systemd unit that
// runs the command with it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace baton {

inline bool is_init_command(std::string_view word) {
  return word == "init";
}

/// `arguments` begin with the command. Prints what was written and what to do next. Throws UsageError, StartError,
/// InformationAsked; then nothing was written, unless the disk itself failed.
int run_init(const std::vector<std::string>& arguments);

}  // namespace baton
