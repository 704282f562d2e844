// Init. The text of a configuration file with every setting in it, and of a systemd unit. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/settings.hpp"

namespace baton {

/// TOML. What was given is set, the rest is there as a comment, with its default where that is one value. Throws
/// UsageError for a value that TOML, as CLI11 reads it, has no way to write.
std::string config_text(const std::vector<SettingDescription>& settings, std::string_view command_line);

struct Service {
  std::string baton;                 ///< path
  std::string config;                ///< path
  std::vector<std::string> command;  ///< of the workers; empty: none
  std::string directory;             ///< that it starts in
  std::string user;                  ///< empty: one that systemd makes up
  std::string group;                 ///< empty: the user's own
  std::string control;               ///< path of the control socket; empty: the unit's own
  std::vector<std::string> written;  ///< paths of the files and sockets that it makes
  std::uint64_t open_files = 0;      ///< that its workers want to have; 0: none in particular
  int nice = 0;                      ///< theirs
};

/// scripts/systemd/baton.service, made to run that. Throws UsageError for what a unit has no way to write.
std::string unit_text(const Service& service);

/// What a user that systemd makes up can't reach of what the service needs; empty: it can reach all, or a user is
/// named.
std::string hindrance(const Service& service);

}  // namespace baton
