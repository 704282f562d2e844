// Master. The settings, each declared once: flag, variable and line of the file under one name, with help and check.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/settings.hpp"
#include "master/settings/options.hpp"

namespace baton {

/// All settings, and where their values go.
struct Flags {
  Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  /// What depends on other settings, and is not in the options before they are put together.
  struct Given {
    std::vector<std::string> listen;
    std::optional<Ports> ports;
    std::chrono::seconds defer_accept{0};
    std::optional<Dialect> dialect;  ///< nothing: auto
    std::optional<Readiness> ready;
    std::optional<std::chrono::milliseconds> hang_timeout;
  };

  Options options;
  Given given;
  Settings settings;
};

}  // namespace baton
