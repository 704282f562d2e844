// Process and interop tests. Where the programs under test are.
#include "tests/support/programs/programs.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace baton::test::programs {
namespace {

std::filesystem::path build() {
  const char* other = std::getenv("BATON_TESTED_BUILD");
  return std::filesystem::absolute(other != nullptr ? other : BATON_BUILD_DIR);
}

std::string built(const char* path) {
  return build() / path;
}

}  // namespace

std::string baton() {
  return built("baton");
}

std::string odd_worker() {
  return built("tests/baton_odd_worker");
}

std::string foreign_worker() {
  return built("tests/baton_foreign_worker");
}

std::string handed_worker() {
  return built("tests/baton_handed_worker");
}

std::string inheriting_worker() {
  return built("tests/baton_inheriting_worker");
}

std::string asio_worker() {
  return built("tests/baton_asio_worker");
}

std::string adding_worker() {
  return built("tests/baton_adding_worker");
}

std::string example() {
  return built("tests/example/build/asio_worker");
}

bool are_sanitized() {
  std::ifstream cache(build() / "CMakeCache.txt");
  for (std::string line; std::getline(cache, line);)
    if (line.starts_with("BATON_SANITIZE:")) return !line.ends_with('=');
  return false;
}

int rounds(int usual) {
  return are_sanitized() ? usual / 5 : usual;
}

}  // namespace baton::test::programs
