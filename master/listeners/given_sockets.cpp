// Master. From LISTEN_FDS to addresses.
#include "master/listeners/given_sockets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cstdlib>
#include <iterator>

#include "common/error.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

constexpr int first_given = 3;  // SD_LISTEN_FDS_START

std::string take_variable(const char* name) {
  const char* const text = std::getenv(name);
  std::string value = text != nullptr ? text : "";
  ::unsetenv(name);
  return value;
}

int number_of_sockets(const std::string& count) {
  constexpr std::uint64_t most = 1024;
  try {
    return static_cast<int>(parse_count(count, 0, most, "a number of descriptors"));
  } catch (const UsageError& error) {
    throw StartError(fmt::format("LISTEN_FDS: {}", error.what()));
  }
}

std::vector<std::string> split(const std::string& names) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t end = std::min(names.find(':', at), names.size());
    all.push_back(names.substr(at, end - at));
    at = end + 1;
  }
  return all;
}

int option_of(const Fd& socket, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(socket.get(), SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

ListenAddress network_address(const Fd& socket) {
  boost::asio::ip::tcp::endpoint endpoint;
  auto size = static_cast<socklen_t>(endpoint.capacity());
  check(::getsockname(socket.get(), endpoint.data(), &size), "getsockname");
  endpoint.resize(size);
  return TcpAddress{endpoint.address(), endpoint.port(), {}, false};
}

ListenAddress local_address(const Fd& socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  std::string path(address.sun_path, size - offsetof(sockaddr_un, sun_path));
  if (!path.empty() && path.front() == '\0')
    path.front() = '@';
  else
    path.resize(std::min(path.find('\0'), path.size()));
  return UnixAddress{std::move(path), std::nullopt};
}

/// Throws StartError.
ListenAddress address_of_listener(const Fd& socket, const std::string& what) {
  if (option_of(socket, SO_TYPE) != SOCK_STREAM || option_of(socket, SO_ACCEPTCONN) != 1)
    throw StartError(fmt::format(
        "{} is no listening stream socket (a socket unit for baton has ListenStream=, and Accept=no)", what));
  const int family = option_of(socket, SO_DOMAIN);
  if (family == AF_INET || family == AF_INET6) return network_address(socket);
  if (family == AF_UNIX) return local_address(socket);
  throw StartError(fmt::format("{} is neither a TCP nor a Unix socket, and baton listens on no others", what));
}

bool is_same(const ListenAddress& one, const ListenAddress& other) {
  const auto* const path = std::get_if<UnixAddress>(&one);
  const auto* const other_path = std::get_if<UnixAddress>(&other);
  if (path != nullptr && other_path != nullptr) return path->path == other_path->path;
  return path == nullptr && other_path == nullptr && to_string(one) == to_string(other);
}

}  // namespace

GivenSockets GivenSockets::take() {
  const std::string count = take_variable("LISTEN_FDS");
  const std::string pid = take_variable("LISTEN_PID");
  const std::vector<std::string> names = split(take_variable("LISTEN_FDNAMES"));
  GivenSockets given;
  // Those of another process are our parent's business.
  if (count.empty() || pid != std::to_string(::getpid())) return given;
  const int number = number_of_sockets(count);
  for (int i = 0; i < number; ++i) {
    const int descriptor = first_given + i;
    std::string name = static_cast<std::size_t>(i) < names.size() ? names[static_cast<std::size_t>(i)] : "";
    const std::string what =
        fmt::format("LISTEN_FDS: descriptor {}{}", descriptor, name.empty() ? "" : " (" + name + ")");
    if (::fcntl(descriptor, F_SETFD, FD_CLOEXEC) == -1) throw StartError(fmt::format("{} is not open", what));
    Fd socket(descriptor);
    ListenAddress address = address_of_listener(socket, what);
    // systemd gives all sockets of a unit the unit's name; one that it does not know is "unknown".
    const bool is_name = !name.empty() && name != "unknown" && !name.ends_with(".socket");
    given.sockets_.push_back({is_name ? std::move(name) : std::string(default_listener_name), std::move(address),
                              std::make_shared<const ParkedSocket>(std::move(socket))});
  }
  return given;
}

bool GivenSockets::assign(NamedAddress& wanted) const {
  const auto found = std::find_if(sockets_.begin(), sockets_.end(), [&](const NamedAddress& each) {
    return is_same(each.address, wanted.address) || (wanted.name != default_listener_name && each.name == wanted.name);
  });
  if (found == sockets_.end()) return false;
  wanted.address = found->address;
  wanted.given = found->given;
  return true;
}

std::vector<NamedAddress> GivenSockets::left_by(const std::vector<NamedAddress>& wanted) const {
  std::vector<NamedAddress> left;
  std::copy_if(sockets_.begin(), sockets_.end(), std::back_inserter(left), [&](const NamedAddress& socket) {
    return std::none_of(wanted.begin(), wanted.end(), [&](const auto& each) { return each.given == socket.given; });
  });
  return left;
}

}  // namespace baton
