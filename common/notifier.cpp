// Any process. Datagrams to NOTIFY_SOCKET.
#include "common/notifier.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace baton {
namespace {

constexpr const char* variable = "NOTIFY_SOCKET";

/// "@name" is an abstract one.
Fd connected_to(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_known = path.starts_with('/') || path.starts_with('@');
  if (!is_known || path.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  Fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket.is_open()) return {};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == -1) return {};
  const timeval longest{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
  return socket;
}

}  // namespace

Notifier::Notifier() {
  if (const char* path = std::getenv(variable)) socket_ = connected_to(path);
  ::unsetenv(variable);
}

void Notifier::tell(std::string_view line) const noexcept {
  if (socket_.is_open()) ::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Notifier::tell_surely(std::string_view line) const noexcept {
  if (socket_.is_open()) ::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

}  // namespace baton
