// Process and interop tests. The forms of an address.
#include "tests/support/clients/endpoint.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string_view>

#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

constexpr std::string_view unix_prefix = "unix:";

Endpoint unix_endpoint(std::string_view path) {
  Endpoint endpoint;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  endpoint.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  if (path.front() == '@')
    address.sun_path[0] = '\0';
  else
    ++endpoint.size;
  std::memcpy(&endpoint.address, &address, sizeof address);
  return endpoint;
}

}  // namespace

Endpoint endpoint_of(const std::string& text) {
  if (text.starts_with(unix_prefix)) return unix_endpoint(std::string_view(text).substr(unix_prefix.size()));
  const auto colon = text.rfind(':');
  const std::string host = text.substr(0, colon);
  const auto port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
  Endpoint endpoint;
  if (host.starts_with('[')) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = port;
    REQUIRE(::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &address.sin6_addr) == 1);
    endpoint.size = sizeof address;
    std::memcpy(&endpoint.address, &address, sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = port;
    REQUIRE(::inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1);
    endpoint.size = sizeof address;
    std::memcpy(&endpoint.address, &address, sizeof address);
  }
  return endpoint;
}

Fd socket_for(const Endpoint& endpoint) {
  return Fd{check(::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
}

}  // namespace baton::test
