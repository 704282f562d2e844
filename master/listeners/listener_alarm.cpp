// Master. An edge-triggered epoll that asks for nothing but what is always reported: EPOLLHUP.
#include "master/listeners/listener_alarm.hpp"

#include <sys/epoll.h>

#include <array>

#include "common/error.hpp"

namespace baton {

ListenerAlarm::ListenerAlarm() : epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

void ListenerAlarm::watch(const Fd& listener) {
  epoll_event event{};
  // By edge: a listener beyond repair would ring without end. A new connection does not wake us, for the kernel passes
  // over those who did not ask for EPOLLIN.
  event.events = EPOLLET;
  check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener.get(), &event), "epoll_ctl(listener)");
}

void ListenerAlarm::silence() {
  std::array<epoll_event, 16> rung{};
  while (::epoll_wait(epoll_.get(), rung.data(), static_cast<int>(rung.size()), 0) == static_cast<int>(rung.size())) {
  }
}

}  // namespace baton
