// Worker. Checks the inherited environment, which any program may have set.
#include "worker/inherited_channel.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>

#include "common/protocol.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

int socket_option(int descriptor, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

/// The socket whose number the variable holds.
Fd channel_in(const char* variable, std::string_view text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number <= STDERR_FILENO)
    throw UsageError(fmt::format("{}={}: not the number of a descriptor above 2", variable, text));
  if (socket_option(number, SO_DOMAIN) != AF_UNIX || socket_option(number, SO_TYPE) != SOCK_STREAM)
    throw UsageError(fmt::format("{}={}: that descriptor is not an open Unix stream socket", variable, text));
  return Fd{number};
}

void check_serialization() {
  const char* mode = std::getenv(protocol::serialization_variable);
  if (mode != nullptr && std::string_view(mode) != "json")
    throw UsageError(fmt::format("{}={}: only json is spoken here (fork with serialization: 'json')",
                                 protocol::serialization_variable, mode));
}

}  // namespace

Fd take_inherited_channel() {
  const char* text = std::getenv(protocol::channel_variable);
  if (text == nullptr)
    throw UsageError(
        fmt::format("this is the worker's role, which a master starts: {} is not set (to start a cluster: baton)",
                    protocol::channel_variable));
  check_serialization();
  Fd channel = channel_in(protocol::channel_variable, text);
  ::unsetenv(protocol::channel_variable);
  ::unsetenv(protocol::serialization_variable);
  return channel;
}

std::optional<Fd> find_inherited_channel() {
  // First Node's: whoever sets it means this very process, and the other may have come down from further up.
  if (std::getenv(protocol::channel_variable) != nullptr) {
    Fd channel = take_inherited_channel();
    ::unsetenv(protocol::own_channel_variable);
    return channel;
  }
  const char* text = std::getenv(protocol::own_channel_variable);
  if (text == nullptr) return std::nullopt;
  Fd channel = channel_in(protocol::own_channel_variable, text);
  ::unsetenv(protocol::own_channel_variable);
  return channel;
}

int inherited_number() {
  const char* text = std::getenv(protocol::number_variable);
  if (text == nullptr) return 0;
  try {
    return static_cast<int>(parse_count(text, 1, std::numeric_limits<int>::max(), "a worker's number"));
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", protocol::number_variable, error.what()));
  }
}

}  // namespace baton
