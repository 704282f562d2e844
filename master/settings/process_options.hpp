// Master. What a worker's process is given, and where its output goes: the settings, each declared once.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "common/settings.hpp"
#include "master/system/account.hpp"

namespace baton {

struct ProcessSettings {
  std::optional<int> stop_signal;      ///< that asks a worker to finish; nothing: the usual one
  std::optional<int> reload_signal;    ///< the same for one that is replaced; nothing: the stop signal
  std::string directory;               ///< empty: the master's
  std::vector<std::string> variables;  ///< "NAME=value", each name once
  std::string user;                    ///< as given
  std::string group;                   ///< as given
  std::optional<Account> account;      ///< what they mean; nothing: the master's own
  std::optional<mode_t> umask;
  std::optional<int> nice;
  std::optional<rlim_t> open_files;  ///< limit, soft and hard
  bool nonblocking = false;          ///< the listeners that are inherited
  bool raw_output = false;           ///< a command's workers write to the master's own streams
  std::string output;                ///< file for what they write; empty: the master's streams

  [[nodiscard]] int asks_to_stop() const { return stop_signal.value_or(SIGTERM); }
  [[nodiscard]] int asks_to_give_way() const { return reload_signal.value_or(asks_to_stop()); }
};

void add_process_settings(Settings& settings, ProcessSettings& values);

/// What only all of them together tell. Throws UsageError.
void complete(ProcessSettings& values, bool is_embedded);

}  // namespace baton
