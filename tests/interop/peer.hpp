// Interop tests. The programs of others that a test needs, and those of the tests that they run.
#pragma once

#include <cstdlib>
#include <string>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/program.hpp"

namespace baton::test {

/// False, and said loudly, where it is missing; with CI in the environment the test fails for it.
inline bool is_installed(const std::string& program) {
  Program found({{"sh", "-c", "command -v " + program}, {}, {}, {}});
  if (found.wait_for_end() == "code 0") return true;
  if (std::getenv("CI") != nullptr) FAIL(program + " is not on PATH (scripts/setup test installs it)");
  WARN("NOT TESTED: " + program + " is not on PATH");
  return false;
}
inline bool has_node() {
  return is_installed("node");
}

/// The path of a script below tests/interop/.
inline std::string script(const std::string& name) {
  return std::string(BATON_SOURCE_DIR "/tests/interop/") + name;
}

}  // namespace baton::test
