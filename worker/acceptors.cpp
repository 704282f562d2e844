// Worker. When to accept, and when to leave it to others.
#include "worker/acceptors.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"

namespace baton {

Acceptors::Acceptors(Poller& poller, Counters& counters, Sessions& sessions, bool take_turns)
    : poller_(poller), counters_(counters), sessions_(sessions), turns_(counters, take_turns) {}

void Acceptors::add(Fd listener) {
  all_.push_back(std::make_unique<Acceptor>(
      poller_, counters_, turns_, std::move(listener), [this](Fd connection) { on_connection(std::move(connection)); },
      [this](int error) { on_exhausted(error); }));
  if (sessions_.is_full())
    all_.back()->pause();
  else
    turns_.join();
}

void Acceptors::give_back(std::uint64_t cookie) {
  const auto given =
      std::stable_partition(all_.begin(), all_.end(), [&](const auto& each) { return !each->serves(cookie); });
  given_back_.insert(given_back_.end(), std::move_iterator(given), std::move_iterator(all_.end()));
  all_.erase(given, all_.end());
  for (const auto& each : given_back_) {
    each->glance();
    each->pause();
  }
}

void Acceptors::give_up() {
  retry_.reset();
  turns_.leave();
  for (const auto& each : all_) each->sweep();
  all_.clear();
}

void Acceptors::set_time(Clock::time_point now) {
  now_ = now;
  turns_.set_time(now);
}

void Acceptors::look_after() {
  given_back_.clear();
  glance_while_busy();
  if (retry_ && *retry_ <= now_) resume();
  if (turns_.is_out() && turns_.may_return()) return_to_line();
}

std::optional<Acceptors::Clock::time_point> Acceptors::next_due(Clock::time_point now) const {
  std::optional<Clock::time_point> due = retry_;
  const auto consider = [&](Clock::time_point when) { due = std::min(due.value_or(when), when); };
  if (turns_.is_out()) consider(turns_.latest_return());
  if (!all_.empty() && now < busy_until_) consider(next_glance_);
  return due;
}

void Acceptors::glance() {
  for (const auto& each : all_) each->glance();
}

/// A worker that was woken for a connection, and has died or been stopped since, has taken the wake-up along. The
/// master tells of most such ends; while there are connections coming, one looks besides, so that nobody waits long.
void Acceptors::glance_while_busy() {
  using namespace std::chrono_literals;
  constexpr auto interval = 80ms;
  constexpr auto busy_time = 5s;
  if (const std::uint64_t accepted = counters_.get(Metric::accepted); accepted != accepted_before_) {
    accepted_before_ = accepted;
    busy_until_ = now_ + busy_time;
  }
  if (now_ >= busy_until_ || now_ < next_glance_) return;
  next_glance_ = now_ + interval;
  glance();
}

void Acceptors::on_connection(Fd connection) {
  out_of_descriptors_ = false;
  sessions_.adopt(std::move(connection));
  if (sessions_.is_full()) pause();
}

void Acceptors::on_exhausted(int error) {
  using namespace std::chrono_literals;
  constexpr auto retry_interval = 100ms;
  if (!std::exchange(out_of_descriptors_, true))
    log::warning("can't accept with {} connections open: {} (raise LimitNOFILE or fs.file-max); waiting for room",
                 sessions_.size(), describe_errno(error));
  pause();
  if (sessions_.is_draining()) return;  // who waits in the queue is left to the others
  retry_ = now_ + retry_interval;
}

void Acceptors::pause() {
  turns_.leave();
  for (const auto& each : all_) each->pause();
}

void Acceptors::resume() {
  retry_.reset();
  if (sessions_.is_draining() || sessions_.is_full() || turns_.is_out()) return;
  turns_.join();
  for (const auto& each : all_) each->resume();
}

void Acceptors::return_to_line() {
  bool in_vain = false;
  if (turns_.is_ahead()) {
    const auto has_left_over = [](const auto& each) { return each->has_left_over(); };
    if (std::any_of(all_.begin(), all_.end(), has_left_over) && turns_.stay_out()) return;
    for (const auto& each : all_) in_vain |= each->take_left_over();
  }
  turns_.come_back(in_vain);
  if (!retry_) resume();
}

}  // namespace baton
