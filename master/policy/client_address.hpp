// Master. A client's address without its port, in one form for every family: what the policy `source` chooses by. Pure.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>

namespace baton {

/// The 16 bytes of an IPv6 address; IPv4 as ::ffff:a.b.c.d, as which it comes to a socket that takes both. All zero
/// where there is none: a client on a Unix socket.
struct ClientAddress {
  std::array<std::uint8_t, 16> bytes{};

  friend bool operator==(const ClientAddress&, const ClientAddress&) = default;
};

/// Of what accept4(2) filled in.
ClientAddress client_address(const sockaddr_storage& peer);

}  // namespace baton
