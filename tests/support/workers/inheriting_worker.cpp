// Process tests. A worker that has its listener from the start, finds it by the variables of a convention, waits for
// connections in one of the ways that programs do, and answers its pid, one client at a time.
//
//   inheriting_worker CONVENTION WAY [notify|ack|lazy]
//
// CONVENTION: listen-fds, einhorn, server-starter, or a descriptor's number. WAY: accept, poll, select, epoll, child
// (it is a child of it that accepts). With notify it says READY=1 before it waits, with ack Einhorn's line; with lazy
// it does not wait before USR1.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "inheriting worker: %s\n", why.c_str());
  std::exit(3);
}

void require(bool condition, const char* what) {
  if (!condition) fail(what);
}

int listener_of(const std::string& convention) {
  if (convention == "listen-fds") {
    require(variable("LISTEN_PID") == std::to_string(::getpid()), "LISTEN_PID is not my pid");
    require(variable("LISTEN_FDS") >= "1", "no LISTEN_FDS");
    return 3;
  }
  if (convention == "einhorn") {
    require(variable("EINHORN_MASTER_PID") == std::to_string(::getppid()), "EINHORN_MASTER_PID is not my parent");
    require(variable("EINHORN_FD_COUNT") >= "1", "no EINHORN_FD_COUNT");
    return std::atoi(variable("EINHORN_FD_0").c_str());
  }
  if (convention == "server-starter") {
    const std::string ports = variable("SERVER_STARTER_PORT");
    return std::atoi(ports.substr(ports.find('=') + 1).c_str());
  }
  return std::atoi(convention.c_str());
}

void send_to(const std::string& path, int type, const std::string& text) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path);
  if (path.front() == '@') address.sun_path[0] = '\0';
  const int socket = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  require(::connect(socket, reinterpret_cast<const sockaddr*>(&address), size) == 0, "connect");
  require(::send(socket, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()), "send");
  ::close(socket);
}

void wait_by(const std::string& way, int listener) {
  if (way == "poll") {
    pollfd wanted{listener, POLLIN, 0};
    ::poll(&wanted, 1, -1);
  } else if (way == "select") {
    fd_set wanted;
    FD_ZERO(&wanted);
    FD_SET(listener, &wanted);
    ::select(listener + 1, &wanted, nullptr, nullptr, nullptr);
  } else if (way == "epoll") {
    static const int epoll = [listener] {
      const int made = ::epoll_create1(EPOLL_CLOEXEC);
      epoll_event event{};
      event.events = EPOLLIN;
      ::epoll_ctl(made, EPOLL_CTL_ADD, listener, &event);
      return made;
    }();
    epoll_event event{};
    ::epoll_wait(epoll, &event, 1, -1);
  }
}

/// The master makes it non-blocking for nobody, but its siblings may.
[[noreturn]] void serve(int listener, const std::string& way) {
  const std::string body = "pid is " + std::to_string(::getpid()) + "\n";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  while (true) {
    wait_by(way, listener);
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client == -1) continue;
    std::array<char, 4096> request{};
    if (::recv(client, request.data(), request.size(), 0) > 0)
      ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
    ::close(client);
  }
}

void await_signal(int number) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, number);
  ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
  std::fprintf(stderr, "inheriting worker %d is lazy\n", ::getpid());
  int received = 0;
  ::sigwait(&wanted, &received);
}

}  // namespace

int main(int argc, char** argv) {
  require(argc >= 3, "usage: inheriting_worker CONVENTION WAY [notify|ack|lazy]");
  const std::string way = argv[2];
  const std::string sign = argc > 3 ? argv[3] : "";
  const int listener = listener_of(argv[1]);
  if (sign == "notify") send_to(variable("NOTIFY_SOCKET"), SOCK_DGRAM, "READY=1");
  if (sign == "ack")
    send_to(variable("EINHORN_SOCK_PATH"), SOCK_STREAM,
            "{\"command\":\"worker:ack\", \"pid\":" + std::to_string(::getpid()) + "}\n");
  if (sign == "notify" || sign == "ack" || sign == "lazy") await_signal(SIGUSR1);
  if (way == "child" && ::fork() != 0) {
    ::wait(nullptr);
    return 0;
  }
  serve(listener, way);
}
