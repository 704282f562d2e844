// Any process with an event loop. The line, its thread, and what accept4 says.
#include "worker/turnstile.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

namespace baton {
namespace {

constexpr int look_every_ms = 70;
constexpr int most_looks_in_vain = 28;

/// What the thread was woken by.
enum Watch : std::uint32_t { its_turn, its_alarm, its_nudge };

Fd event_descriptor() {
  return Fd{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")};
}

/// Whether there was anything in it.
bool clear(const Fd& event) {
  eventfd_t count = 0;
  return ::eventfd_read(event.get(), &count) == 0;
}

int control(const Fd& epoll, int operation, const Fd& fd, std::uint32_t events = 0, Watch watch = its_turn) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = watch;
  return ::epoll_ctl(epoll.get(), operation, fd.get(), &event);
}

/// A connection is queued, or the listener is shut down.
bool is_ready(const Fd& listener, short events) {
  pollfd state{listener.get(), events, 0};
  return ::poll(&state, 1, 0) == 1;  // POLLHUP and POLLERR are always asked for
}

/// Before each accept, because every holder of the socket can make it wait for all.
void ensure_nonblocking(const Fd& listener) {
  const int flags = ::fcntl(listener.get(), F_GETFL);
  if ((flags & O_NONBLOCK) == 0) ::fcntl(listener.get(), F_SETFL, flags | O_NONBLOCK);
}

/// That one connection is gone, and the listener is sound: accept(2), on what Linux passes on.
bool is_of_connection(int error) {
  constexpr std::array errors{EAGAIN,    EINTR,  ECONNABORTED, EPROTO,      ENETDOWN,  ENOPROTOOPT,
                              EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EPERM};
  return std::find(errors.begin(), errors.end(), error) != errors.end();
}

/// EAGAIN where another connection is to be awaited.
int reason_of(int error, const Fd& listener) {
  // A Unix listener that was shut down for reading alone is readable for ever, and says EAGAIN.
  if (error == EAGAIN && is_ready(listener, POLLRDHUP)) return EINVAL;
  return is_of_connection(error) ? EAGAIN : error;
}

/// With every signal blocked in it, so that the program's handlers run on its own threads.
template <class Run>
std::thread deaf_thread(Run run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread thread(run);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
}

}  // namespace

Turnstile::Turnstile(Fd listener)
    : listener_(std::move(listener)),
      alarm_(listener_.duplicate()),
      bell_(event_descriptor()),
      nudge_(event_descriptor()),
      epoll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
  check(control(epoll_, EPOLL_CTL_ADD, nudge_, EPOLLIN, its_nudge), "epoll_ctl(ADD)");
  thread_ = deaf_thread([this] { run(); });
}

Turnstile::~Turnstile() {
  stopping_ = true;
  nudge();
  thread_.join();
  // Nothing is left in others' way: with the epoll end its watches.
}

void Turnstile::enter() noexcept {
  ++wanted_;
  if (place_ == Place::away) line_up();
}

void Turnstile::leave() noexcept {
  if (--wanted_ > 0) return;
  place_ = Place::away;
  control(epoll_, EPOLL_CTL_DEL, listener_);  // fails where the thread did it
}

Turnstile::Accepted Turnstile::accept() noexcept {
  // The thread calls and then rings: between the two it is left for the bell, which else would ring for nothing.
  if (!clear(bell_)) return {Fd{}, EAGAIN};
  if (Place called = Place::called; !place_.compare_exchange_strong(called, Place::away)) return {Fd{}, EAGAIN};
  ensure_nonblocking(listener_);
  Accepted result{Fd{::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)}};
  if (!result.connection.is_open()) result.error = reason_of(errno, listener_);
  held_back_ = result.error != 0 && result.error != EAGAIN;
  if (result.error != EAGAIN) --wanted_;
  if (wanted_ > 0) line_up();
  return result;
}

Fd Turnstile::accept_queued() const noexcept {
  ensure_nonblocking(listener_);
  int descriptor = -1;
  do descriptor = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  while (descriptor == -1 && (errno == EINTR || errno == ECONNABORTED));
  return Fd{descriptor};
}

void Turnstile::line_up() noexcept {
  if (held_back_) return step_aside();
  place_ = Place::in_line;
  // Last, for it may wake the thread here and now. It can't be in already, but where the thread is about to take it
  // out.
  if (control(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN | EPOLLEXCLUSIVE) == -1 && errno != EEXIST) step_aside();
}

/// Where it is not to be in line, or can't, for want of memory or of watches.
void Turnstile::step_aside() noexcept {
  place_ = Place::aside;
  nudge();  // so that there is a next look
}

void Turnstile::nudge() const noexcept {
  ::eventfd_write(nudge_.get(), 1);
}

void Turnstile::run() noexcept {
  while (!stopping_) {
    std::array<epoll_event, 3> events;  // filled by the kernel, as far as it is read
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), is_asleep_ ? -1 : look_every_ms);
    if (count == 0) look();
    if (count <= 0) continue;
    wake_up();
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      if (events.at(i).data.u32 == its_turn) call(Place::in_line);
      if (events.at(i).data.u32 == its_nudge) clear(nudge_);
    }
  }
}

void Turnstile::look() noexcept {
  held_back_ = false;
  if (place_ == Place::aside) return call(Place::aside);
  if (place_ == Place::in_line && is_ready(listener_, POLLIN)) return call(Place::in_line);
  if (++looks_in_vain_ >= most_looks_in_vain) fall_asleep();
}

/// Unless the loop has left meanwhile.
void Turnstile::call(Place from) noexcept {
  control(epoll_, EPOLL_CTL_DEL, listener_);
  if (place_.compare_exchange_strong(from, Place::called)) ::eventfd_write(bell_.get(), 1);
}

/// Without EPOLLEXCLUSIVE: every sleeper is woken. And once, not for as long as a connection waits.
void Turnstile::fall_asleep() noexcept {
  is_asleep_ = control(epoll_, EPOLL_CTL_ADD, alarm_, EPOLLIN | EPOLLET, its_alarm) == 0;
}

void Turnstile::wake_up() noexcept {
  looks_in_vain_ = 0;
  if (std::exchange(is_asleep_, false)) control(epoll_, EPOLL_CTL_DEL, alarm_);
}

}  // namespace baton
