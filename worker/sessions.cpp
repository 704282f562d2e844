// Worker. The group of sessions and its deadlines.
#include "worker/sessions.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include "common/log.hpp"

namespace baton {
namespace {

using namespace std::chrono_literals;

// Long enough for the client to read the last answer and close; after that a reset harms nobody who listens.
constexpr auto linger_time = 2000ms;
// A request that left the client before it could know of the drain arrives within a round trip.
constexpr auto grace_time = 500ms;

}  // namespace

Sessions::Sessions(Poller& poller, Counters& counters, const WorkerSettings& settings, std::function<void()> on_closed)
    : poller_(poller),
      counters_(counters),
      limits_{settings.max_header, settings.max_body},
      answers_(::getpid()),
      max_connections_(settings.max_connections),
      on_closed_(std::move(on_closed)) {
  queue(Wait::header).duration = settings.header_timeout;
  queue(Wait::body).duration = settings.body_timeout;
  queue(Wait::idle).duration = settings.idle_timeout;
  queue(Wait::send).duration = settings.idle_timeout;
  queue(Wait::linger).duration = linger_time;
  queue(Wait::grace).duration = grace_time;
  answers_.set_time(std::time(nullptr));
}

void Sessions::adopt(Fd connection, Holders holders) {
  Session& session = all_.emplace_front(*this, std::move(connection), holders);
  session.self = all_.begin();
  counters_.add(Metric::accepted);
  counters_.set(Metric::open, all_.size());
  last_closed_ = nullptr;
  try {
    session.wait_for(draining_ ? Wait::grace : Wait::header);
    if (is_first_read_due()) first_read_paid_ = session.read();
    if (last_closed_ != &session && !session.is_watched()) session.watch(EPOLLIN);
  } catch (const std::system_error& error) {
    log::error("a connection is dropped: {} (raise fs.epoll.max_user_watches)", error.what());
    counters_.add(Metric::errors);
    all_.erase(session.self);
    counters_.set(Metric::open, all_.size());
  }
}

/// A client that sends at once has mostly done so before it is accepted: read then, its request needs no wait, and
/// where the connection ends with the answer, no call of epoll at all. While such attempts are in vain, most are left
/// out.
bool Sessions::is_first_read_due() {
  constexpr unsigned attempt_every = 16;
  if (!first_read_paid_ && ++first_reads_left_out_ < attempt_every) return false;
  first_reads_left_out_ = 0;
  return true;
}

void Sessions::close(Session& session) {
  if (session.holders() == Holders::shared) {
    if (session.is_watched()) poller_.remove(session.connection());
    ::shutdown(session.connection().get(), SHUT_RDWR);
  }
  last_closed_ = &session;
  all_.erase(session.self);
  counters_.set(Metric::open, all_.size());
  on_closed_();
}

void Sessions::drain() {
  draining_ = true;
  give_grace(Wait::header);
  give_grace(Wait::idle);
}

void Sessions::give_grace(Wait wait) {
  auto& sessions = queue(wait).sessions;
  for (auto next = sessions.begin(); next != sessions.end();) {
    Session& session = *next++;
    if (session.is_resting()) session.wait_for(Wait::grace);
  }
}

void Sessions::schedule(Session& session, Wait wait) {
  session.unlink();
  session.expires = now_ + queue(wait).duration;
  queue(wait).sessions.push_back(session);
}

void Sessions::set_time(Clock::time_point now, std::time_t wall_clock) {
  now_ = now;
  answers_.set_time(wall_clock);
}

void Sessions::expire() {
  for (Queue& each : queues_)
    while (!each.sessions.empty() && each.sessions.front().expires <= now_) each.sessions.front().on_deadline();
}

std::optional<std::chrono::milliseconds> Sessions::until_next_deadline() const {
  std::optional<Clock::time_point> next;
  for (const Queue& each : queues_)
    if (!each.sessions.empty() && (!next || each.sessions.front().expires < *next))
      next = each.sessions.front().expires;
  if (!next) return std::nullopt;
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(*next - now_), 0ms);
}

}  // namespace baton
