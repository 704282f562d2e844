// Any process with an Asio loop. Makes Asio's objects of descriptors that came from somebody else.
#pragma once

#include <sys/socket.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <concepts>
#include <system_error>

#include "common/fd.hpp"

namespace baton {

/// The very protocol of a socket, as far as `Protocol` leaves it open. Throws std::system_error, with EAFNOSUPPORT
/// where it is of another.
template <class Protocol>
Protocol protocol_of(const Fd& socket) {
  int family = 0;
  socklen_t size = sizeof family;
  check(::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &family, &size), "getsockopt(SO_DOMAIN)");
  if constexpr (std::same_as<Protocol, boost::asio::generic::stream_protocol>) {
    return Protocol(family, 0);
  } else if constexpr (std::same_as<Protocol, boost::asio::ip::tcp>) {
    if (family == AF_INET6) return Protocol::v6();
    if (family == AF_INET) return Protocol::v4();
  } else {
    if (family == Protocol().family()) return Protocol();
  }
  throw std::system_error(EAFNOSUPPORT, std::generic_category(), "a socket of another protocol");
}

/// A connection as a socket of Asio's. Throws std::system_error.
template <class Protocol = boost::asio::ip::tcp, class Executor>
auto adopt(const Executor& executor, Fd connection) {
  typename Protocol::socket::template rebind_executor<Executor>::other socket(executor);
  socket.assign(protocol_of<Protocol>(connection), connection.get());
  static_cast<void>(connection.release());
  return socket;
}

}  // namespace baton
