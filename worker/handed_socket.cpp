// Worker. Asking the kernel what a socket is.
#include "worker/handed_socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace baton {
namespace {

int socket_option(const Fd& fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd.get(), SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool is_bound(const Fd& fd) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size) == -1) return false;
  if (own.ss_family == AF_UNIX) return size > sizeof(sa_family_t);
  constexpr std::size_t port_offset = offsetof(sockaddr_in, sin_port);
  static_assert(port_offset == offsetof(sockaddr_in6, sin6_port));
  std::uint16_t port = 0;
  std::memcpy(&port, reinterpret_cast<const char*>(&own) + port_offset, sizeof port);
  return port != 0;
}

}  // namespace

bool is_connection(const Fd& fd) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return socket_option(fd, SO_TYPE) == SOCK_STREAM &&
         ::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

bool is_listener(const Fd& fd) {
  if (socket_option(fd, SO_TYPE) != SOCK_STREAM) return false;
  if (socket_option(fd, SO_ACCEPTCONN) == 1) return true;
  return is_bound(fd) && !is_connection(fd) && ::listen(fd.get(), std::numeric_limits<int>::max()) == 0;
}

}  // namespace baton
