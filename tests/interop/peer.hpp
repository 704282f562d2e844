// Interop tests. The programs of others that a test needs.
#pragma once

#include <cstdlib>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/program.hpp"

namespace baton::test {

/// False, and said loudly, where it is missing; with CI in the environment the test fails for it.
inline bool is_installed(const std::string& program) {
  Program found({{"sh", "-c", "command -v " + program}, {}, {}, {}});
  if (found.wait_for_end() == "code 0") return true;
  if (std::getenv("CI") != nullptr) FAIL(program + " is not on PATH (scripts/setup test installs it)");
  WARN("NOT TESTED: " + program + " is not on PATH");
  return false;
}

}  // namespace baton::test
