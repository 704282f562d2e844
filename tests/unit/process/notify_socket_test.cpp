// Unit tests of the socket that takes sd_notify(3) messages.
#include "master/process/notify_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "tests/support/catch/catch.hpp"
#include "tests/support/system/descriptors.hpp"

namespace baton::test {
namespace {

/// As a worker sends it; with a descriptor, where one is given.
void notify(const NotifySocket& to, std::string text, int descriptor = -1) {
  const Fd sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, to.address().data() + 1, to.address().size() - 1);
  iovec vector{text.data(), text.size()};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + to.address().size());
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (descriptor != -1) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
  }
  CHECK(::sendmsg(sender.get(), &message, 0) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("what a worker notifies of is read, line by line, and put together over datagrams") {
  const NoLeak no_leak;
  NotifySocket socket;
  CHECK(socket.address().starts_with("@"));
  CHECK_FALSE(socket.receive(::getpid()).ready);
  notify(socket, "STATUS=warming up");
  notify(socket, "MAINPID=1\nREADY=1\nWATCHDOG=1\n");
  const Notification notification = socket.receive(::getpid());
  CHECK(notification.ready);
  CHECK(notification.alive);
  CHECK_FALSE(notification.hung);
  CHECK(notification.status == "warming up");
  CHECK_FALSE(notification.reloading);
  CHECK_FALSE(notification.stopping);
  notify(socket, "WATCHDOG=trigger");
  CHECK(socket.receive(::getpid()).hung);
  notify(socket, "RELOADING=1\nMONOTONIC_USEC=5");
  notify(socket, "STOPPING=1");
  const Notification last = socket.receive(::getpid());
  CHECK(last.reloading);
  CHECK(last.stopping);
}

TEST_CASE("what is no notification means nothing") {
  Notification notification;
  for (const char* each : {"", "\n", "READY=0", "READY=11", "ready=1", "=", "READY", "READY=1 ", "WATCHDOG=2"})
    read_notification(each, notification);
  CHECK_FALSE(notification.ready);
  CHECK_FALSE(notification.alive);
  CHECK_FALSE(notification.hung);
  CHECK_FALSE(notification.status);
}

TEST_CASE("a status goes on as it is where it is UTF-8, and readable where it is not") {
  Notification notification;
  read_notification("STATUS=wärmt auf", notification);
  CHECK(notification.status == "wärmt auf");
  read_notification("STATUS=a\xff\xc3", notification);
  CHECK(notification.status == "a??");
}

TEST_CASE("a datagram that is too long is not read in part, and descriptors that come along are closed") {
  const NoLeak no_leak;
  NotifySocket socket;
  notify(socket, "READY=1\n" + std::string(10'000, 'x'));
  CHECK_FALSE(socket.receive(::getpid()).ready);
  notify(socket, "READY=1", STDERR_FILENO);
  CHECK(socket.receive(::getpid()).ready);
}

TEST_CASE("a worker that runs as another user is trusted with all its processes, and yet another user is not") {
  if (::geteuid() != 0) {
    WARN("only root can be another user");
    return;
  }
  constexpr uid_t user = 65'533;
  NotifySocket socket(user);
  const auto notify_as = [&](uid_t sender) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setresuid(sender, sender, sender) != 0) ::_exit(1);
      notify(socket, "READY=1");
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    return socket.receive(::getpid()).ready;
  };
  CHECK(notify_as(user));
  CHECK_FALSE(notify_as(user + 1));
}

}  // namespace baton::test
