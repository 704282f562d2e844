// Master. A request in netlink(7) for one socket each.
#include "master/system/sock_diag.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>

#include "common/fd.hpp"

namespace baton {
namespace {

constexpr unsigned no_cookie = ~0U;

template <class Body>
struct Request {
  nlmsghdr header{};
  Body body{};
};

/// What follows the answer's header; empty where the kernel does not know such a socket, or tells nothing.
template <class Body>
std::string ask_kernel(const Body& body) {
  const Fd netlink{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)};
  if (!netlink.is_open()) return {};
  Request<Body> request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body = body;
  if (::send(netlink.get(), &request, sizeof request, 0) != sizeof request) return {};

  // The kernel has answered by the time that send() returns.
  alignas(nlmsghdr) std::array<char, 1024> answer{};
  const ssize_t count = ::recv(netlink.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  nlmsghdr header{};
  if (count < NLMSG_HDRLEN) return {};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return {};
  return {answer.data() + NLMSG_HDRLEN, static_cast<std::size_t>(count - NLMSG_HDRLEN)};
}

/// Puts an address's bytes where netlink has room for one of either family.
template <std::size_t Words>
void put(const boost::asio::ip::address& address, __be32 (&place)[Words]) {
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    std::memcpy(place, bytes.data(), bytes.size());
  } else {
    const auto bytes = address.to_v6().to_bytes();
    std::memcpy(place, bytes.data(), bytes.size());
  }
}

}  // namespace

std::optional<int> unix_backlog(std::uint64_t inode) {
  unix_diag_req request{};
  request.sdiag_family = AF_UNIX;
  request.udiag_states = ~0U;
  request.udiag_ino = static_cast<unsigned>(inode);
  request.udiag_show = UDIAG_SHOW_RQLEN;
  request.udiag_cookie[0] = request.udiag_cookie[1] = no_cookie;
  const std::string answer = ask_kernel(request);

  for (std::size_t at = NLMSG_ALIGN(sizeof(unix_diag_msg)); at + sizeof(rtattr) <= answer.size();) {
    rtattr attribute{};
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    unix_diag_rqlen lengths{};
    const bool fits = at + RTA_LENGTH(sizeof lengths) <= answer.size();
    if (attribute.rta_type == UNIX_DIAG_RQLEN && attribute.rta_len >= RTA_LENGTH(sizeof lengths) && fits) {
      std::memcpy(&lengths, answer.data() + at + RTA_LENGTH(0), sizeof lengths);
      return static_cast<int>(lengths.udiag_wqueue);
    }
    if (attribute.rta_len < sizeof attribute) break;
    at += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> tcp_inode(const boost::asio::ip::tcp::endpoint& own,
                                       const boost::asio::ip::tcp::endpoint& peer) {
  inet_diag_req_v2 request{};
  request.sdiag_family = own.address().is_v4() ? AF_INET : AF_INET6;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~0U;
  request.id.idiag_sport = htons(own.port());
  request.id.idiag_dport = htons(peer.port());
  put(own.address(), request.id.idiag_src);
  put(peer.address(), request.id.idiag_dst);
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = no_cookie;
  const std::string answer = ask_kernel(request);

  inet_diag_msg found{};
  if (answer.size() < sizeof found) return std::nullopt;
  std::memcpy(&found, answer.data(), sizeof found);
  // Where there is no such connection the kernel tells of the listener.
  if (found.idiag_state == TCP_LISTEN || found.idiag_inode == 0) return std::nullopt;
  return found.idiag_inode;
}

}  // namespace baton
