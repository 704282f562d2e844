// Master. Sending connections, and hearing what became of them.
#include "master/dispatch/recipient.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "common/cluster_messages.hpp"

namespace baton {
namespace {

using namespace std::chrono_literals;
using protocol::Kind;

// A worker at its limit of open files or connections has room again when one of its own closes, which nobody tells.
constexpr Milliseconds rest = 100ms;
// Between two questions to a Node worker that holds connections; doubling while it gets no new ones.
constexpr Milliseconds first_pause = 10ms;
constexpr Milliseconds longest_pause = 1s;
constexpr Milliseconds measures_apart = 10ms;

}  // namespace

Recipient::Recipient(std::vector<const Vault*> listeners, const Terms& terms, Send send)
    : listeners_(std::move(listeners)), terms_(terms), send_(std::move(send)) {}

bool Recipient::serves(const Origin& origin) const {
  if (terms_.is_cluster) return keys_.contains(origin.listener);
  return origin.is_closed || std::find(listeners_.begin(), listeners_.end(), origin.listener) != listeners_.end();
}

bool Recipient::has_room() const {
  return is_serving() && connections_.size() < terms_.room;
}

/// The descriptors of the next message, which all come from one listener; returns how many.
std::size_t Recipient::next_message(std::span<int> descriptors) const {
  const Origin* origin = connections_[sent_].origin.get();
  const std::size_t most = std::min(terms_.takes_many ? descriptors.size() : 1, connections_.size() - sent_);
  std::size_t count = 0;
  for (; count < most && connections_[sent_ + count].origin.get() == origin; ++count)
    descriptors[count] = connections_[sent_ + count].socket.get();
  return count;
}

std::vector<Connection> Recipient::send() {
  std::array<int, most_handles_per_message> descriptors;
  while (has_unsent() && (terms_.takes_many || terms_.is_cluster || sent_ == 0)) {
    const std::size_t count = next_message(descriptors);
    const Channel::Sent sent = send_next({descriptors.data(), count});
    // A channel that is closed stays blocked: its end of file follows.
    is_blocked_ = sent == Channel::Sent::full || sent == Channel::Sent::closed;
    if (is_blocked_) return take_unsent();
    messages_.push_back({count, last_message_, false});
    sent_ += count;
  }
  return {};
}

Channel::Sent Recipient::send_next(std::span<const int> handles) {
  const Origin& origin = *connections_[sent_].origin;
  if (terms_.is_cluster) return send_(protocol::newconn_line(keys_.at(origin.listener), ++last_message_), handles);
  if (terms_.takes_many) return send_(protocol::connections_line(handles.size(), origin.quoted_name), handles);
  return send_(origin.handle_line, handles);
}

std::vector<Connection> Recipient::take_unsent() {
  const auto unsent = connections_.begin() + static_cast<std::ptrdiff_t>(sent_);
  std::vector<Connection> taken(std::make_move_iterator(unsent), std::make_move_iterator(connections_.end()));
  connections_.erase(unsent, connections_.end());
  return taken;
}

std::vector<Connection> Recipient::take_all() {
  std::vector<Connection> taken(std::make_move_iterator(connections_.begin()),
                                std::make_move_iterator(connections_.end()));
  connections_.clear();
  messages_.clear();
  sent_ = 0;
  return taken;
}

/// Takes one message back, with what it brings.
std::vector<Connection> Recipient::take_message(const std::deque<Message>::iterator& message) {
  std::ptrdiff_t before = 0;
  for (auto each = messages_.begin(); each != message; ++each) before += static_cast<std::ptrdiff_t>(each->count);
  const auto begin = connections_.begin() + before;
  const auto end = begin + static_cast<std::ptrdiff_t>(message->count);
  std::vector<Connection> taken(std::make_move_iterator(begin), std::make_move_iterator(end));
  connections_.erase(begin, end);
  sent_ -= message->count;
  messages_.erase(message);
  return taken;
}

/// What waits for it goes to others, too, and it gets nothing for a moment.
void Recipient::refuse(std::vector<Connection> connections, TimePoint now, Verdict& verdict) {
  verdict.refused = std::move(connections);
  for (Connection& each : take_unsent()) verdict.refused.push_back(std::move(each));
  rests_until_ = now + rest;
}

std::vector<Connection> Recipient::forgo(const Vault& listener) {
  keys_.erase(&listener);
  std::vector<Connection> forgone;
  std::deque<Connection> kept;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const bool is_left = i >= sent_ && connections_[i].origin->listener == &listener;
    if (is_left)
      forgone.push_back(std::move(connections_[i]));
    else
      kept.push_back(std::move(connections_[i]));
  }
  connections_ = std::move(kept);
  return forgone;
}

void Recipient::measure_by(Measure measure) {
  measure_ = std::move(measure);
  measure_of_nothing_ = measure_();
}

/// What it took since counts besides, until the next time.
void Recipient::measure(TimePoint now) {
  if (!measure_ || now < measured_ + measures_apart) return;
  measured_ = now;
  const std::size_t found = measure_();
  open_ = found > measure_of_nothing_ ? found - measure_of_nothing_ : 0;
}

Recipient::Verdict Recipient::hear(const protocol::Message& message, TimePoint now) {
  if (terms_.is_cluster) return hear_cluster(message, now);
  const bool is_of_its_kind = terms_.takes_many == (message.kind == Kind::taken || message.kind == Kind::closed);
  const bool is_answer =
      message.kind == Kind::taken || message.kind == Kind::handle_ack || message.kind == Kind::handle_nack;
  if (!is_of_its_kind || (is_answer && messages_.empty())) return {false, {}};
  if (message.kind == Kind::handle_ack) return on_taken(1, now);
  if (message.kind == Kind::handle_nack) return on_taken(0, now);
  if (message.kind == Kind::all_closed) return {on_all_closed(), {}};
  if (!message.number) return {false, {}};
  if (message.kind == Kind::taken) return on_taken(*message.number, now);
  return {message.kind == Kind::closed ? on_closed(*message.number) : on_count(*message.number), {}};
}

/// It confirms that a message has come, with its descriptor, and then says what becomes of it.
Recipient::Verdict Recipient::hear_cluster(const protocol::Message& message, TimePoint now) {
  const auto next =
      std::find_if(messages_.begin(), messages_.end(), [](const Message& each) { return !each.is_received; });
  Verdict verdict;
  if (message.kind == Kind::handle_ack && next != messages_.end()) {
    next->is_received = true;
  } else if (message.kind == Kind::handle_nack && next != messages_.end()) {
    refuse(take_message(next), now, verdict);
  } else if (message.kind == Kind::accepted && message.number) {
    const auto meant = std::find_if(messages_.begin(), messages_.end(),
                                    [&](const Message& each) { return each.number == *message.number; });
    if (meant == messages_.end()) return {false, {}};
    std::vector<Connection> its = take_message(meant);
    if (message.is_accepted && terms_.is_counted) open_ += its.size();
    if (message.is_accepted) return verdict;
    verdict.is_by_choice = true;
    refuse(std::move(its), now, verdict);
  } else {
    verdict.is_expected = false;
  }
  return verdict;
}

Recipient::Verdict Recipient::on_taken(std::size_t count, TimePoint now) {
  const std::size_t of = messages_.front().count;
  messages_.pop_front();
  Verdict verdict{count <= of, {}};
  const std::size_t taken = std::min(count, of);
  const auto end_of_taken = connections_.begin() + static_cast<std::ptrdiff_t>(taken);
  connections_.erase(connections_.begin(), end_of_taken);
  sent_ -= of;
  if (taken < of) {
    const auto end = connections_.begin() + static_cast<std::ptrdiff_t>(of - taken);
    verdict.refused.assign(std::make_move_iterator(connections_.begin()), std::make_move_iterator(end));
    connections_.erase(connections_.begin(), end);
    for (Connection& each : take_unsent()) verdict.refused.push_back(std::move(each));
    rests_until_ = now + rest;
  }
  if (!terms_.is_counted) return verdict;
  open_ += taken;
  if (terms_.takes_many) return verdict;
  if (!is_asked_to_tell_) is_asked_to_tell_ = say(protocol::ask_all_closed_line());
  ask_pause_ = first_pause;
  ask_at_ = std::min(ask_at_, now + ask_pause_);
  return verdict;
}

bool Recipient::on_closed(std::size_t count) {
  if (!terms_.is_counted || count > open_) return false;
  open_ -= count;
  return true;
}

bool Recipient::on_count(std::size_t count) {
  if (!std::exchange(is_asked_, false)) return false;
  open_ = count;
  return true;
}

bool Recipient::on_all_closed() {
  if (!std::exchange(is_asked_to_tell_, false)) return false;
  open_ = 0;
  return true;
}

bool Recipient::say(std::string_view line) {
  const Channel::Sent sent = send_(line, {});
  return sent == Channel::Sent::whole || sent == Channel::Sent::queued;
}

/// A worker that does not answer is not asked again, and counts as if it held on to everything.
void Recipient::ask(TimePoint now) {
  if (!is_asked_) is_asked_ = say(protocol::ask_open_line());
  ask_at_ = now + ask_pause_;
  ask_pause_ = std::min(ask_pause_ * 2, longest_pause);
}

void Recipient::leave(std::function<void()> then, TimePoint latest) {
  is_leaving_ = true;
  on_drained_ = std::move(then);
  drained_at_latest_ = latest;
}

std::function<void()> Recipient::take_on_drained(TimePoint now) {
  if (!on_drained_ || (!connections_.empty() && now < drained_at_latest_)) return {};
  return take_on_drained();
}

void Recipient::on_time(TimePoint now) {
  if (rests_until_ && *rests_until_ <= now) rests_until_.reset();
  if (ask_at_ > now) return;
  ask_at_ = TimePoint::max();
  if (open_ > 0) ask(now);
}

TimePoint Recipient::next_wake() const {
  const TimePoint next = std::min(ask_at_, on_drained_ ? drained_at_latest_ : TimePoint::max());
  return rests_until_ ? std::min(next, *rests_until_) : next;
}

}  // namespace baton
