// Master. TCP_INFO for TCP, sock_diag(7) and SO_PEERCRED for Unix sockets.
#include "master/listener_health.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <fstream>

namespace baton {
namespace {

ListenerHealth tcp_health(const Fd& listener) {
  tcp_info info{};
  socklen_t size = sizeof info;
  check(::getsockopt(listener.get(), IPPROTO_TCP, TCP_INFO, &info, &size), "getsockopt(TCP_INFO)");
  if (info.tcpi_state != TCP_LISTEN) return {};
  // Of a listener, tcp_get_info() fills the fields in with its queue: waiting, and the most that may wait.
  return {true, static_cast<int>(info.tcpi_sacked), 0};
}

struct DiagRequest {
  nlmsghdr header{};
  unix_diag_req body{};
};

/// What `ss -lx` shows as Send-Q.
std::optional<int> unix_backlog(const Fd& listener) {
  struct stat status {};
  check(::fstat(listener.get(), &status), "fstat");
  const Fd netlink{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)};
  if (!netlink.is_open()) return std::nullopt;

  DiagRequest request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = AF_UNIX;
  request.body.udiag_states = ~0U;
  request.body.udiag_ino = static_cast<unsigned>(status.st_ino);
  request.body.udiag_show = UDIAG_SHOW_RQLEN;
  request.body.udiag_cookie[0] = request.body.udiag_cookie[1] = ~0U;
  if (::send(netlink.get(), &request, sizeof request, 0) != sizeof request) return std::nullopt;

  // The kernel has answered by the time that send() returns.
  alignas(nlmsghdr) std::array<char, 1024> answer{};
  const ssize_t count = ::recv(netlink.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  nlmsghdr header{};
  if (count < static_cast<ssize_t>(sizeof header + sizeof(unix_diag_msg))) return std::nullopt;
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return std::nullopt;
  std::size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(unix_diag_msg));
  while (at + sizeof(rtattr) <= static_cast<std::size_t>(count)) {
    rtattr attribute{};
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    unix_diag_rqlen lengths{};
    const bool fits = at + RTA_LENGTH(sizeof lengths) <= static_cast<std::size_t>(count);
    if (attribute.rta_type == UNIX_DIAG_RQLEN && attribute.rta_len >= RTA_LENGTH(sizeof lengths) && fits) {
      std::memcpy(&lengths, answer.data() + at + RTA_LENGTH(0), sizeof lengths);
      return static_cast<int>(lengths.udiag_wqueue);
    }
    if (attribute.rta_len < sizeof attribute) break;
    at += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

ListenerHealth unix_health(const Fd& listener) {
  pollfd state{listener.get(), POLLRDHUP, 0};
  if (check(::poll(&state, 1, 0), "poll") == 1) return {};
  ucred last{};
  socklen_t size = sizeof last;
  check(::getsockopt(listener.get(), SOL_SOCKET, SO_PEERCRED, &last, &size), "getsockopt(SO_PEERCRED)");
  return {true, unix_backlog(listener), last.pid};
}

}  // namespace

ListenerHealth listener_health(const Fd& listener) {
  int family = 0;
  socklen_t size = sizeof family;
  check(::getsockopt(listener.get(), SOL_SOCKET, SO_DOMAIN, &family, &size), "getsockopt(SO_DOMAIN)");
  return family == AF_UNIX ? unix_health(listener) : tcp_health(listener);
}

bool queues_migrate() {
  std::ifstream setting("/proc/sys/net/ipv4/tcp_migrate_req");
  int value = 0;
  return setting >> value && value != 0;
}

}  // namespace baton
