// Master. Whether a program that tells nothing waits for connections: what the kernel shows of it. A listener that some
// process of it has in an epoll, or is blocked on in accept, poll or select, is awaited; and so is one from which it
// has a connection, since under load it may be blocked at no moment that somebody looks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>

#include "common/fd.hpp"

namespace baton {

enum class Awaiting : std::uint8_t {
  no,
  yes,
  unknown,  ///< this process is not allowed to see
};

/// `listeners` are inodes: inode_of(). Looks at the process and at its nearest descendants.
Awaiting awaits_connections(pid_t process, const std::set<std::uint64_t>& listeners);

/// As in /proc's "socket:[4711]". Throws std::system_error.
std::uint64_t inode_of(const Fd& socket);

}  // namespace baton
