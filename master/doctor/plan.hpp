// Doctor. What is to be examined, and how.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "master/settings/options.hpp"

namespace baton::doctor {

struct Plan {
  std::vector<std::string> arguments;  ///< of the baton that runs the command, up to it
  Options options;                     ///< what these come to
  std::string path = "/";              ///< of the requests
  std::chrono::milliseconds time_limit{0};
  bool as_json = false;

  /// Whether a worker hears of no client that is silent.
  [[nodiscard]] bool defers_accept() const;
};

/// `arguments` behind "doctor". Throws UsageError, InformationAsked.
Plan parse_plan(const std::vector<std::string>& arguments);

}  // namespace baton::doctor
