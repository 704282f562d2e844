// Master. Datagrams of NAME=VALUE lines.
#include "master/process/notify_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "common/error.hpp"

namespace baton {
namespace {

constexpr std::size_t longest_datagram = 4096;
constexpr int datagrams_per_call = 64;
constexpr std::size_t most_handles = 253;

struct Received {
  std::string_view text;
  ucred sender{};
};

/// The sender as the kernel vouches for it. Takes every descriptor that came along, and closes it.
Received judge(const msghdr& message, std::string_view text) {
  Received received{text, {0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)}};
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&message), part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) std::memcpy(&received.sender, CMSG_DATA(part), sizeof received.sender);
    if (part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(part) + at, sizeof descriptor);
      const Fd unwanted{descriptor};
    }
  }
  return received;
}

/// As it is where it is UTF-8, for it goes into JSON; else without what is not ASCII.
std::string readable(std::string_view text) {
  std::string copy(text);
  boost::system::error_code error;
  static_cast<void>(boost::json::parse(boost::json::serialize(boost::json::string(copy)), error));
  if (error)
    for (char& each : copy)
      if (static_cast<unsigned char>(each) > '~') each = '?';
  return copy;
}

}  // namespace

NotifySocket::NotifySocket(uid_t user)
    : user_(user),
      socket_(check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket(NOTIFY_SOCKET)")) {
  const int on = 1;
  check(::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), "setsockopt(SO_PASSCRED)");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // With nothing but the family, bind(2) chooses an abstract name that is free.
  check(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t)), "bind(NOTIFY_SOCKET)");
  socklen_t size = sizeof address;
  check(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  const std::size_t length = size - offsetof(sockaddr_un, sun_path);
  address_ = "@" + std::string(address.sun_path + 1, length - 1);
}

Notification NotifySocket::receive(pid_t worker) {
  Notification notification;
  std::array<char, longest_datagram> bytes{};
  for (int i = 0; i < datagrams_per_call; ++i) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(most_handles * sizeof(int))> control{};
    iovec vector{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count == -1) break;
    const Received received = judge(message, {bytes.data(), static_cast<std::size_t>(count)});
    const uid_t sender = received.sender.uid;
    const bool is_trusted = sender == ::geteuid() || sender == user_ || sender == 0 || received.sender.pid == worker;
    if (is_trusted && (message.msg_flags & MSG_TRUNC) == 0) read_notification(received.text, notification);
  }
  return notification;
}

void read_notification(std::string_view datagram, Notification& notification) {
  while (!datagram.empty()) {
    const std::size_t end = datagram.find('\n');
    const std::string_view line = datagram.substr(0, end);
    datagram = end == std::string_view::npos ? std::string_view{} : datagram.substr(end + 1);
    constexpr std::string_view status = "STATUS=";
    if (line == "READY=1") notification.ready = true;
    if (line == "RELOADING=1") notification.reloading = true;
    if (line == "STOPPING=1") notification.stopping = true;
    if (line == "WATCHDOG=1") notification.alive = true;
    if (line == "WATCHDOG=trigger") notification.hung = true;
    if (line.starts_with(status)) notification.status = readable(line.substr(status.size()));
  }
}

}  // namespace baton
