// Interop tests. Whether there is a Node to test with.
#pragma once

#include <cstdlib>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/program.hpp"

namespace baton::test {

/// False, and said loudly, where Node is missing; with CI in the environment the test fails for it.
inline bool has_node() {
  Program node({{"node", "--version"}, {}, {}, {}});
  if (node.wait_for_end() == "code 0") return true;
  if (std::getenv("CI") != nullptr) FAIL("node is not on PATH");
  WARN("NOT TESTED: node is not on PATH");
  return false;
}

inline std::string script(const std::string& name) {
  return std::string(BATON_SOURCE_DIR "/tests/interop/") + name;
}

}  // namespace baton::test
