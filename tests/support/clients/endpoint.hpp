// Process and interop tests. An address in baton's form as connect(2) wants it.
#pragma once

#include <sys/socket.h>

#include <string>

#include "common/fd.hpp"

namespace baton::test {

struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

/// Of "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock" or "unix:@name"; the test fails on any other.
Endpoint endpoint_of(const std::string& text);

/// A blocking socket of that family that is not connected yet.
Fd socket_for(const Endpoint& endpoint);

}  // namespace baton::test
