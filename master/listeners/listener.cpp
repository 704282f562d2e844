// Master. socket, bind, listen, and what to say when they fail.
#include "master/listeners/listener.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/error.hpp"

namespace baton {
namespace {

using boost::asio::ip::tcp;

std::string way_out(const TcpAddress& address, int error) {
  switch (error) {
    case EACCES:
      return " (ports below 1024 need CAP_NET_BIND_SERVICE)";
    case EADDRINUSE:
      return fmt::format(" (another process listens there: ss -ltnp 'sport = :{}' names it; --port chooses another)",
                         address.ports.first);
    case EADDRNOTAVAIL:
      return " (no interface of this machine has that address: ip address shows them)";
    default:
      return "";
  }
}

[[noreturn]] void fail(const TcpAddress& address, int error) {
  throw ListenError(error, fmt::format("can't listen on {}: {}{}", to_string(address), describe_errno(error),
                                       way_out(address, error)));
}

[[noreturn]] void fail(const UnixAddress& address, int error, const std::string& why) {
  throw ListenError(error, fmt::format("can't listen on {}: {}", to_string(address), why));
}

void set_option(const Fd& socket, int level, int option, int value) {
  check(::setsockopt(socket.get(), level, option, &value, sizeof value), "setsockopt");
}

/// The errno of the call that failed, or 0 and the bound socket in `socket`.
int try_bind(Fd& socket, const tcp::endpoint& endpoint, const TcpAddress& wanted, bool shares_port) {
  socket = Fd{::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.is_open()) return errno;
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (shares_port) set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1);
  if (wanted.defer_accept.count() > 0)
    set_option(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT, static_cast<int>(wanted.defer_accept.count()));
  // Said, because the default is the sysctl net.ipv6.bindv6only.
  if (endpoint.protocol() == tcp::v6())
    set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, endpoint.address().is_unspecified() && !wanted.is_ipv6_only ? 0 : 1);
  return ::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == -1 ? errno : 0;
}

TcpAddress bound_address(const Fd& socket) {
  tcp::endpoint endpoint;
  auto size = static_cast<socklen_t>(endpoint.capacity());
  check(::getsockname(socket.get(), endpoint.data(), &size), "getsockname");
  endpoint.resize(size);
  return TcpAddress{endpoint.address(), endpoint.port(), {}, false};
}

int try_bind(Fd& socket, const TcpAddress& address, bool shares_port) {
  const std::uint16_t port = address.ports.first;
  const auto bind_at = [&](const tcp::endpoint& endpoint) { return try_bind(socket, endpoint, address, shares_port); };
  if (address.host) return bind_at({*address.host, port});
  const int error = bind_at({tcp::v6(), port});
  const bool has_no_ipv6 = error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
  return has_no_ipv6 ? bind_at({tcp::v4(), port}) : error;
}

Listener bind_tcp(const TcpAddress& address, Sharing sharing) {
  Fd socket;
  if (const int error = try_bind(socket, address, sharing == Sharing::next)) fail(address, error);
  const TcpAddress bound = bound_address(socket);
  // A port that the kernel chose is given up when somebody shuts the listener down, and listening again would choose
  // another. One that was asked for by number stays. And a socket that shares its port would be bound beside a
  // stranger's that does, too: the one that does not is refused then.
  if (address.ports.first == 0 || sharing == Sharing::first) {
    Fd second;
    TcpAddress same = address;
    same.ports = bound.ports;
    if (const int error = try_bind(second, same, sharing != Sharing::none)) fail(bound, error);
    socket = std::move(second);
  }
  return {std::move(socket), to_string(bound), std::nullopt, Fd{}};
}

struct UnixEndpoint {
  sockaddr_un address{};
  socklen_t size = 0;
};

UnixEndpoint unix_endpoint(const UnixAddress& address) {
  UnixEndpoint endpoint;
  endpoint.address.sun_family = AF_UNIX;
  std::memcpy(endpoint.address.sun_path, address.path.data(), address.path.size());
  endpoint.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size());
  if (address.path.front() == '@')
    endpoint.address.sun_path[0] = '\0';
  else
    ++endpoint.size;
  return endpoint;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// Who called listen(2) on the other side of `probe`, or how to find out: a probe that found the queue full knows no
/// peer.
std::string who(const Fd& probe, const UnixAddress& address) {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
  return known ? fmt::format("(pid {})", peer.pid) : fmt::format("(ss -lxp src {} names it)", address.path);
}

/// Removes a socket file that nobody listens on any more; refuses anything else that has the name.
void clear_stale_file(const UnixAddress& address, const UnixEndpoint& endpoint) {
  struct stat found {};
  if (::lstat(address.path.c_str(), &found) == -1) return;
  if (!S_ISSOCK(found.st_mode))
    fail(address, EADDRINUSE, "that file exists and is not a socket (remove it, or choose another path)");
  const Fd probe{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
  const bool connected = ::connect(probe.get(), generic(endpoint.address), endpoint.size) == 0;
  if (connected || errno != ECONNREFUSED)
    fail(address, EADDRINUSE, "another process listens there " + who(probe, address));
  if (::unlink(address.path.c_str()) == -1 && errno != ENOENT)
    fail(address, errno,
         fmt::format("a stale socket file is in the way and can't be removed: {}", describe_errno(errno)));
}

/// While held, no other baton looks at socket files in this directory, so that none takes another's new one for a
/// stale one. Where the directory can't be opened, bind(2) will say why.
Fd lock_directory(const UnixAddress& address) {
  const int tries = address.may_wait ? 300 : 0;
  constexpr int pause_ms = 10;
  const std::string parent = std::filesystem::path(address.path).parent_path().string();
  Fd directory{::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory.is_open()) return directory;
  // There is no lock with a time limit, and anybody who can read the directory can hold this one.
  for (int i = 0; ::flock(directory.get(), LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK; ++i) {
    if (i == tries)
      fail(address, EADDRINUSE,
           fmt::format("another process keeps {} locked (lsof {} names it)", parent.empty() ? "." : parent, parent));
    ::poll(nullptr, 0, pause_ms);
  }
  return directory;
}

Listener bind_unix(const UnixAddress& address) {
  const bool has_file = address.path.front() != '@';
  const UnixEndpoint endpoint = unix_endpoint(address);
  Fd socket{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
  Fd lock;
  if (has_file) {
    lock = lock_directory(address);
    clear_stale_file(address, endpoint);
  }
  // By the umask, so that the file never has wider permissions than it should, not for a moment.
  const mode_t old_mask = address.mode ? ::umask(0777 & ~*address.mode) : ::umask(0);
  if (!address.mode) ::umask(old_mask);
  const int error = ::bind(socket.get(), generic(endpoint.address), endpoint.size) == -1 ? errno : 0;
  ::umask(old_mask);
  if (error == EADDRINUSE) fail(address, error, "another process has that name");
  if (error == ENOENT) fail(address, error, "its directory does not exist (create it first)");
  if (error != 0) fail(address, error, describe_errno(error));
  std::optional<SocketFile> file;
  if (has_file) file.emplace(address.path);
  return {std::move(socket), to_string(address), std::move(file), std::move(lock)};
}

}  // namespace

Listener bind_to(const ListenAddress& address, Sharing sharing) {
  if (const auto* network = std::get_if<TcpAddress>(&address)) return bind_tcp(*network, sharing);
  return bind_unix(std::get<UnixAddress>(address));
}

Listener take_given(const NamedAddress& wanted) {
  const auto* const network = std::get_if<TcpAddress>(&wanted.address);
  Fd socket = wanted.given->copy();
  if (network != nullptr && network->defer_accept.count() > 0)
    set_option(socket, IPPROTO_TCP, TCP_DEFER_ACCEPT, static_cast<int>(network->defer_accept.count()));
  return {std::move(socket), to_string(wanted.address), std::nullopt, Fd{}};
}

Listener listen_on(const ListenAddress& address, int backlog, Sharing sharing) {
  Listener listener = bind_to(address, sharing);
  // listen(2) can still meet EADDRINUSE where two sockets with SO_REUSEADDR were bound at the same time.
  if (::listen(listener.socket.get(), backlog) == -1) {
    if (const auto* network = std::get_if<TcpAddress>(&address)) fail(*network, errno);
    fail(std::get<UnixAddress>(address), errno, describe_errno(errno));
  }
  listener.directory_lock.reset();
  return listener;
}

}  // namespace baton
