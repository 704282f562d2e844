// Client. Connecting, asking, receiving.
#include "master/client/client_connection.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <utility>

#include "common/error.hpp"

namespace baton {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t read_size = std::size_t{64} * 1024;
constexpr int soon_ms = 10'000;

[[noreturn]] void fail_to_connect(const std::string& path, int error) {
  const char* const why = error == ECONNREFUSED ? " (its master has ended)"
                          : error == ENOENT     ? " (no master runs there)"
                          : error == EACCES     ? " (only root and the master's user may use it)"
                          : error == EAGAIN     ? " (its master does not get to accepting)"
                                                : "";
  throw StartError(fmt::format("can't reach the control socket {}: {}{}", path, describe_errno(error), why));
}

[[noreturn]] void fail_gone() {
  throw StartError("the master went away before it answered");
}

Fd connected_to(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path)
    throw StartError(
        fmt::format("the control socket's path {} is longer than {} bytes", path, sizeof address.sun_path - 1));
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  Fd socket{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == -1)
    fail_to_connect(path, errno);
  return socket;
}

/// False when the time ran out; -1 is for ever.
bool wait_for(const Fd& socket, short events, int timeout_ms) {
  pollfd waiting{socket.get(), events, 0};
  int count = 0;
  do {
    count = ::poll(&waiting, 1, timeout_ms);
  } while (count == -1 && errno == EINTR);
  return check(count, "poll") > 0;
}

}  // namespace

ClientConnection::ClientConnection(const std::string& path) : socket_(connected_to(path)) {
  parser_.eager(true);
  parser_.body_limit(boost::none);
}

void ClientConnection::ask(std::string_view method, std::string_view target, std::string_view body) {
  const std::string length = body.empty() ? "" : fmt::format("Content-Length: {}\r\n", body.size());
  const std::string request = fmt::format("{} {} HTTP/1.1\r\nHost: baton\r\n{}\r\n{}", method, target, length, body);
  std::string_view left = request;
  while (!left.empty()) {
    const ssize_t count = ::send(socket_.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (count > 0)
      left.remove_prefix(static_cast<std::size_t>(count));
    else if (errno == EAGAIN)
      wait_for(socket_, POLLOUT, -1);
    else if (errno != EINTR)
      fail_gone();
  }
}

void ClientConnection::receive_soon() {
  if (!wait_for(socket_, POLLIN, soon_ms))
    throw StartError(fmt::format("the master does not answer (waited for {} seconds)", soon_ms / 1000));
  receive();
}

void ClientConnection::receive() {
  wait_for(socket_, POLLIN, -1);
  const auto room = buffer_.prepare(read_size);
  const ssize_t count = ::recv(socket_.get(), room.data(), room.size(), 0);
  if (count == -1 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) fail_gone();
  buffer_.commit(static_cast<std::size_t>(count));
  while (buffer_.size() > 0 && !parser_.is_done()) {
    boost::system::error_code error;
    const std::size_t used = parser_.put(buffer_.data(), error);
    buffer_.consume(used);
    if (error == http::error::need_more) return;
    if (error) throw StartError(fmt::format("what listens there is no master: {}", error.message()));
  }
}

std::string ClientConnection::take_body() {
  return std::exchange(parser_.get().body(), {});
}

}  // namespace baton
