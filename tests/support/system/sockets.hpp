// Unit tests. A listening socket, and clients of it that are no more than connected.
#pragma once

#include <sys/socket.h>

#include <string>
#include <utility>

#include "common/fd.hpp"
#include "master/listeners/listener.hpp"

namespace baton::test {

/// Without an address on a loopback port that the kernel chooses.
inline Fd listener_at(const std::string& address = "127.0.0.1:0") {
  return std::move(listen_on(parse_address(address, 0), 128).socket);
}

/// A client of whatever `listener` is bound to.
inline Fd connect_to(const Fd& listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  check(::getsockname(listener.get(), generic, &size), "getsockname");
  Fd client{check(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  check(::connect(client.get(), generic, size), "connect");
  return client;
}

}  // namespace baton::test
