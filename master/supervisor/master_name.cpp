// Master. From a command line to a name.
#include "master/supervisor/master_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <utility>

namespace baton {
namespace {

bool is_plain(std::string_view word) {
  constexpr std::size_t longest = 48;
  return !word.empty() && word.size() <= longest && word.front() != '-' &&
         std::all_of(word.begin(), word.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || std::strchr("._-", c) != nullptr; });
}

}  // namespace

std::string name_of_program(const std::vector<std::string>& command, pid_t process) {
  std::string name = std::filesystem::path(command.front()).filename();
  for (auto each = command.begin() + 1; each != command.end(); ++each) {
    if (each->starts_with('-')) continue;
    if (std::string script = std::filesystem::path(*each).filename(); is_plain(script)) name = std::move(script);
    break;
  }
  return fmt::format("{}-{}", name, process);
}

std::string master_name(const std::string& given, const std::string& address, const std::vector<std::string>& command,
                        pid_t process) {
  if (!given.empty()) return given;
  return address.empty() ? name_of_program(command, process) : address;
}

}  // namespace baton
