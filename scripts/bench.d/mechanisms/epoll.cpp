// The mechanisms on an epoll loop: how the listener waits in it differs, or who accepts.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "job.hpp"

namespace mechanisms {
namespace {

class Loop {
 public:
  Loop() : epoll_(require(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

  void add(int fd, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    require(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
  void remove(int fd) const { require(::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr), "epoll_ctl"); }

  /// `on_listener` is called when the listener is ready.
  template <class OnListener>
  [[noreturn]] void run(int listener, OnListener on_listener) const {
    std::array<epoll_event, 64> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener)
          on_listener();
        else
          answer(fd);
      }
    }
  }

 private:
  static void answer(int connection) {
    std::array<char, request_size> request;
    const ssize_t size = ::recv(connection, request.data(), request.size(), 0);
    if (size == -1 && errno == EAGAIN) return;
    Reply reply{{}, true};
    if (size > 0) {
      reply = reply_to({request.data(), static_cast<std::size_t>(size)});
      static_cast<void>(::send(connection, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL));
    }
    if (reply.is_last) ::close(connection);
  }

  int epoll_;
};

void serve(int listener, std::uint32_t how, bool rotates) {
  const Loop loop;
  loop.add(listener, EPOLLIN | how);
  loop.run(listener, [&] {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection == -1) return;
    loop.add(connection, EPOLLIN);
    if (!rotates) return;
    loop.remove(listener);
    loop.add(listener, EPOLLIN | how);
  });
}

}  // namespace

void epoll_herd(int listener) {
  serve(listener, 0, false);
}

void epoll_exclusive(int listener) {
  serve(listener, EPOLLEXCLUSIVE, false);
}

void epoll_rotating(int listener) {
  serve(listener, EPOLLEXCLUSIVE, true);
}

void accept_thread(int listener) {
  // Blocking, for all that share it.
  ::fcntl(listener, F_SETFL, ::fcntl(listener, F_GETFL) & ~O_NONBLOCK);
  const Loop loop;
  const std::jthread acceptor([&] {
    for (;;) {
      const int connection = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection != -1) loop.add(connection, EPOLLIN);
    }
  });
  loop.run(-1, [] {});
}

}  // namespace mechanisms
