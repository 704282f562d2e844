// Master. TCP_INFO for TCP, sock_diag(7) and SO_PEERCRED for Unix sockets.
#include "master/listeners/listener_health.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>

#include "master/system/sock_diag.hpp"

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

ListenerHealth unix_health(const Fd& listener) {
  pollfd state{listener.get(), POLLRDHUP, 0};
  if (check(::poll(&state, 1, 0), "poll") == 1) return {};
  ucred last{};
  socklen_t size = sizeof last;
  check(::getsockopt(listener.get(), SOL_SOCKET, SO_PEERCRED, &last, &size), "getsockopt(SO_PEERCRED)");
  struct stat status {};
  check(::fstat(listener.get(), &status), "fstat");
  return {true, unix_backlog(status.st_ino), last.pid};
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
