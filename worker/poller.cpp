// Worker. The epoll calls.
#include "worker/poller.hpp"

#include <array>

namespace baton {

Poller::Poller() : epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

void Poller::control(int operation, const Fd& fd, std::uint32_t events, EventHandler* handler, const char* name) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = handler;
  check(::epoll_ctl(epoll_.get(), operation, fd.get(), &event), name);
}

void Poller::add(const Fd& fd, std::uint32_t events, EventHandler& handler) {
  control(EPOLL_CTL_ADD, fd, events, &handler, "epoll_ctl(ADD)");
}

void Poller::modify(const Fd& fd, std::uint32_t events, EventHandler& handler) {
  control(EPOLL_CTL_MOD, fd, events, &handler, "epoll_ctl(MOD)");
}

void Poller::remove(const Fd& fd) {
  control(EPOLL_CTL_DEL, fd, 0, nullptr, "epoll_ctl(DEL)");
}

void Poller::wait(int timeout_ms, const std::function<void()>& woken) {
  std::array<epoll_event, 64> events;  // filled by the kernel, as far as it is read
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  if (count == -1 && errno != EINTR) check(count, "epoll_wait");
  if (woken) woken();
  if (count == -1) return;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    static_cast<EventHandler*>(events.at(i).data.ptr)->on_events(events.at(i).events);
}

}  // namespace baton
