// Worker. The accept loop, and what it does when accept fails.
#include "worker/accept.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <limits>
#include <utility>

#include "common/log.hpp"
#include "common/socket_cookie.hpp"

namespace baton {
namespace {

int domain(const Fd& socket) {
  int value = AF_UNSPEC;
  socklen_t size = sizeof value;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &value, &size);
  return value;
}

bool is_ready(const Fd& listener, short events) {
  pollfd state{listener.get(), events, 0};
  return ::poll(&state, 1, 0) == 1;  // POLLHUP and POLLERR are always asked for
}

}  // namespace

Acceptor::Acceptor(Poller& poller, Counters& counters, Turns& turns, Fd listener, OnConnection on_connection,
                   OnExhausted on_exhausted)
    : poller_(poller),
      counters_(counters),
      turns_(turns),
      listener_(std::move(listener)),
      cookie_(socket_cookie(listener_)),
      on_connection_(std::move(on_connection)),
      on_exhausted_(std::move(on_exhausted)),
      is_unix_(domain(listener_) == AF_UNIX) {
  set_nonblocking(listener_);
  // Accepted sockets inherit it, which saves a call per connection; a Unix listener refuses it, and needs none.
  const int on = 1;
  ::setsockopt(listener_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  resume();
}

void Acceptor::resume() {
  if (broken_ || waiting_) return;
  poller_.add(listener_, EPOLLIN | EPOLLEXCLUSIVE, *this);
  waiting_ = true;
}

void Acceptor::pause() {
  if (!std::exchange(waiting_, false)) return;
  poller_.remove(listener_);
}

void Acceptor::on_events(std::uint32_t events) {
  if (!waiting_) return;  // paused by another listener's accept in this batch
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return restore_listening();
  const Outcome outcome = accept_one();
  if (outcome == Outcome::none) counters_.add(Metric::accept_misses);
  if (outcome == Outcome::taken) line_up_again();
}

/// At the end of the line, or later.
void Acceptor::line_up_again() {
  if (!waiting_) return;  // there is no room for another
  pause();
  if (!turns_.is_out() && turns_.is_ahead()) turns_.step_out(is_ready(listener_, POLLIN));
  if (!turns_.is_out()) resume();
}

void Acceptor::glance() {
  if (waiting_ && accept_one() == Outcome::taken) line_up_again();
}

bool Acceptor::has_left_over() const {
  return !waiting_ && !broken_ && is_ready(listener_, POLLIN);
}

bool Acceptor::take_left_over() {
  return !waiting_ && !broken_ && accept_one() == Outcome::taken;
}

void Acceptor::sweep() {
  // Bounded, so that a client that connects without end can't keep a leaving worker here.
  constexpr int most = 4096;
  for (int i = 0; i < most && accept_one() == Outcome::taken; ++i) {
  }
}

Acceptor::Outcome Acceptor::accept_one() {
  const int accepted = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted >= 0) {
    turns_.take();
    on_connection_(Fd{accepted});
    return Outcome::taken;
  }
  switch (const int error = errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      on_exhausted_(error);
      return Outcome::exhausted;
    case EAGAIN:
      // Another worker was quicker. Or it is a Unix listener that was shut down for reading alone: that one stays
      // readable, says neither EINVAL nor EPOLLHUP, and refuses every client.
      if (is_unix_ && is_ready(listener_, POLLRDHUP)) restore_listening();
      return Outcome::none;
    default:
      // ECONNABORTED and, on Linux, pending network errors: that one connection is gone, and the epoll wakes us when
      // there is another.
      return Outcome::none;
  }
}

/// Some holder of the listener called shutdown(2) on it, which stops it for all; listen(2) brings a TCP listener back,
/// but not a Unix one.
void Acceptor::restore_listening() {
  const bool listens =
      ::listen(listener_.get(), std::numeric_limits<int>::max()) == 0 && !is_ready(listener_, POLLRDHUP);
  if (listens) return log::warning("a listener had been shut down by another process that holds it; listening again");
  log::error("a listener is broken: another process that holds it has shut it down; it is given up here");
  pause();
  broken_ = true;
}

}  // namespace baton
