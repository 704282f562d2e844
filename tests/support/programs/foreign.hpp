// Process tests. Baton's arguments for workers that are a program of their own.
#pragma once

#include <string>
#include <vector>

#include "tests/support/programs/programs.hpp"

namespace baton::test {

/// Baton's own arguments, and behind them a worker of tests/support/workers/foreign_worker.cpp in that mode.
inline std::vector<std::string> with_foreign(std::vector<std::string> arguments, const std::vector<std::string>& mode) {
  arguments.insert(arguments.end(), {"--", programs::foreign_worker()});
  arguments.insert(arguments.end(), mode.begin(), mode.end());
  return arguments;
}

}  // namespace baton::test
