// Worker. LISTEN_FDS as in sd_listen_fds(3), WATCHDOG_USEC as in sd_watchdog_enabled(3), and the channel.
#include "worker/inheritance.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>

#include "common/error.hpp"
#include "common/units.hpp"
#include "worker/handed_socket.hpp"
#include "worker/inherited_channel.hpp"

namespace baton {
namespace {

constexpr int first_descriptor = 3;

std::string taken(const char* variable) {
  const char* text = std::getenv(variable);
  std::string value = text == nullptr ? "" : text;
  ::unsetenv(variable);
  return value;
}

std::uint64_t number_in(const char* variable, const std::string& text, std::uint64_t most) {
  try {
    return parse_count(text, 0, most, "a number");
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", variable, error.what()));
  }
}

/// Variables with a pid are for that process alone; who finds another's is its child.
bool is_ours(const std::string& pid) {
  return pid == std::to_string(::getpid());
}

/// Up to the next colon, which goes, too.
std::string next_name(std::string& names) {
  const std::size_t end = names.find(':');
  std::string name = names.substr(0, end);
  names.erase(0, end == std::string::npos ? end : end + 1);
  return name;
}

std::vector<GivenListener> take_listeners() {
  const std::string count = taken("LISTEN_FDS");
  const std::string pid = taken("LISTEN_PID");
  std::string names = taken("LISTEN_FDNAMES");
  std::vector<GivenListener> listeners;
  if (count.empty() || !is_ours(pid)) return listeners;
  constexpr std::uint64_t most = 65'536;
  const auto end = first_descriptor + static_cast<int>(number_in("LISTEN_FDS", count, most));
  for (int descriptor = first_descriptor; descriptor < end; ++descriptor) {
    if (::fcntl(descriptor, F_SETFD, FD_CLOEXEC) == -1)
      throw UsageError(fmt::format("LISTEN_FDS={}: descriptor {} is not open", count, descriptor));
    listeners.push_back({next_name(names), Fd{descriptor}});
    static_cast<void>(is_listener(listeners.back().socket));  // who is only bound listens now; what else it is, is seen
  }
  return listeners;
}

std::chrono::microseconds take_watchdog() {
  const std::string time = taken("WATCHDOG_USEC");
  const std::string pid = taken("WATCHDOG_PID");
  if (time.empty() || (!pid.empty() && !is_ours(pid))) return {};
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 1000);
  return std::chrono::microseconds(number_in("WATCHDOG_USEC", time, most));
}

}  // namespace

Inheritance take_inheritance() {
  Inheritance inheritance;
  inheritance.number = inherited_number();
  inheritance.channel = find_inherited_channel();
  if (inheritance.channel) set_cloexec(*inheritance.channel);
  inheritance.listeners = take_listeners();
  inheritance.watchdog = take_watchdog();
  return inheritance;
}

}  // namespace baton
