// Master. What the kernel tells of one socket, which may be another process's: sock_diag(7).
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace baton {

/// How many connections may wait at a listening Unix socket: what `ss -lx` shows as Send-Q. Nothing where the kernel
/// does not say.
std::optional<int> unix_backlog(std::uint64_t inode);

/// The inode of a TCP connection's end that a process holds; nothing as long as nobody has accepted it, or where the
/// kernel does not say. Found by its hash, where /proc/net/tcp tells of each connection of the machine.
std::optional<std::uint64_t> tcp_inode(const boost::asio::ip::tcp::endpoint& own,
                                       const boost::asio::ip::tcp::endpoint& peer);

}  // namespace baton
