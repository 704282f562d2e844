// Master. Connections that bring one line.
#include "master/dialect/ack_socket.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/error.hpp"

namespace baton {
namespace {

constexpr std::size_t most_clients = 8;
constexpr std::size_t longest_line = 4096;

int watch(const Fd& epoll, const Fd& socket) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = socket.get();
  return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, socket.get(), &event);
}

}  // namespace

AckSocket::AckSocket(uid_t user)
    : user_(user),
      epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      listener_(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket(EINHORN_SOCK_PATH)")) {
  make_directory();
  try {
    bind_and_listen();
  } catch (...) {
    ::rmdir(directory_.c_str());
    throw;
  }
}

AckSocket::AckSocket(AckSocket&& other) noexcept
    : user_(other.user_),
      directory_(std::exchange(other.directory_, {})),
      epoll_(std::move(other.epoll_)),
      listener_(std::move(other.listener_)),
      clients_(std::move(other.clients_)) {}

AckSocket::~AckSocket() {
  if (directory_.empty()) return;
  ::unlink(path().c_str());
  ::rmdir(directory_.c_str());
}

/// A worker may be another user (--user): whoever likes may connect, and is heard if it is the right one.
void AckSocket::make_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "baton-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
  directory_ = name;
  ::chmod(directory_.c_str(), 0711);
}

void AckSocket::bind_and_listen() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path();
  if (name.size() >= sizeof address.sun_path)
    throw std::system_error(ENAMETOOLONG, std::generic_category(), "bind(EINHORN_SOCK_PATH)");
  name.copy(address.sun_path, name.size());
  check(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
        "bind(EINHORN_SOCK_PATH)");
  ::chmod(name.c_str(), 0666);
  check(::listen(listener_.get(), most_clients), "listen");
  check(watch(epoll_, listener_), "epoll_ctl(ADD)");
}

AckSocket::Received AckSocket::receive() {
  std::array<epoll_event, most_clients + 1> events;  // filled by the kernel, as far as it is read
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  Received received;
  for (int i = 0; i < count; ++i) {
    const int ready = events.at(static_cast<std::size_t>(i)).data.fd;
    if (ready == listener_.get())
      received.is_exhausted = !accept_some();
    else
      received.acknowledgement = read_from(ready) || received.acknowledgement;
  }
  return received;
}

/// False where there is one that can't be had now.
bool AckSocket::accept_some() {
  for (std::size_t i = 0; i < 2 * most_clients; ++i) {
    Fd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!client.is_open()) return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR;
    if (clients_.size() >= most_clients || !is_trusted(client) || watch(epoll_, client) == -1) continue;
    const int number = client.get();
    clients_.emplace(number, Client{std::move(client), {}});
  }
  return true;
}

bool AckSocket::is_trusted(const Fd& client) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool is_known = ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  return is_known && (peer.uid == 0 || peer.uid == ::geteuid() || peer.uid == user_);
}

/// It is closed with its first line, or its end: what else Einhorn's clients can say is not for a worker.
bool AckSocket::read_from(int client) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return false;
  std::string& line = found->second.line;
  std::array<char, longest_line> bytes;  // filled by the kernel, as far as it is read
  const ssize_t count = ::recv(client, bytes.data(), bytes.size(), 0);
  if (count == -1 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count > 0) line.append(bytes.data(), static_cast<std::size_t>(count));
  const std::size_t end = line.find('\n');
  if (count > 0 && end == std::string::npos && line.size() < longest_line) return false;
  const bool has_acknowledged = is_acknowledgement(std::string_view(line).substr(0, end));
  clients_.erase(found);
  return has_acknowledged;
}

bool is_acknowledgement(std::string_view line) {
  // "command" and "worker:ack" stand for a key and its value in JSON and YAML alike, bare or in quotes.
  const std::size_t key = line.find("command");
  if (key == std::string_view::npos) return false;
  const std::string_view behind = line.substr(key + std::string_view("command").size());
  const std::size_t value = behind.find_first_not_of("\"': \t");
  return value != std::string_view::npos && behind.substr(0, value).find(':') != std::string_view::npos &&
         behind.substr(value).starts_with("worker:ack");
}

}  // namespace baton
