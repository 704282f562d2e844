// Any process. The kernel's number of a socket, by which two processes that hold the same one can speak of it.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "common/fd.hpp"

namespace baton {

/// No other socket has or had it since the machine was started. Throws std::system_error.
inline std::uint64_t socket_cookie(const Fd& socket) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  check(::getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size), "getsockopt(SO_COOKIE)");
  return cookie;
}

}  // namespace baton
