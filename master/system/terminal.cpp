// Master. Asking the terminal.
#include "master/system/terminal.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace baton {

bool wants_colours(std::FILE* stream) {
  const char* const refused = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  const bool is_able = terminal != nullptr && std::string_view(terminal) != "dumb";
  return is_able && (refused == nullptr || *refused == '\0') && ::isatty(::fileno(stream)) == 1;
}

}  // namespace baton
