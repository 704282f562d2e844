// Master. The families of addresses.
#include "master/policy/client_address.hpp"

#include <netinet/in.h>

#include <cstring>

namespace baton {

ClientAddress client_address(const sockaddr_storage& peer) {
  ClientAddress address;
  if (peer.ss_family == AF_INET6) {
    sockaddr_in6 client{};
    std::memcpy(&client, &peer, sizeof client);
    std::memcpy(address.bytes.data(), &client.sin6_addr, address.bytes.size());
  } else if (peer.ss_family == AF_INET) {
    sockaddr_in client{};
    std::memcpy(&client, &peer, sizeof client);
    constexpr std::size_t before = 12;
    address.bytes[before - 2] = address.bytes[before - 1] = 0xff;
    std::memcpy(address.bytes.data() + before, &client.sin_addr, sizeof client.sin_addr);
  }
  return address;
}

}  // namespace baton
