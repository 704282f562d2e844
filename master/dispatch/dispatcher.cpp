// Master. Accept, choose, hand over; and who has to wait.
#include "master/dispatch/dispatcher.hpp"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// So that one listener does not keep the others, and what the workers say, waiting.
constexpr int accepts_per_turn = 64;
// Of a listener that is closed: more than any queue holds by default.
constexpr int accepts_at_the_end = 4096;
// What a worker leaves unacknowledged waits with it, whatever becomes of it: enough to keep it busy until its next
// answer, and no more. A Node worker gets one at a time, and these are all but one still here.
constexpr std::size_t room_for_many = 32;
constexpr std::size_t room_of_node = 8;
// A client of `source` can go to no other.
constexpr std::size_t room_of_source = 512;
constexpr Milliseconds exhausted_pause = 100ms;
constexpr Milliseconds patience_at_retirement = 1s;

TimePoint now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Dispatcher::Dispatcher(asio::any_io_executor executor, Policy policy)
    : executor_(std::move(executor)),
      policy_(policy),
      connection_policy_(make_connection_policy(policy)),
      timer_(executor_) {}

Dispatcher::~Dispatcher() {
  for (const auto& listener : listeners_) {
    listener->vault->on_empty({});
    listener->watch.reset();
  }
}

void Dispatcher::open(const std::shared_ptr<Vault>& vault) {
  for (const auto& each : listeners_)
    if (each->vault == vault) return;
  auto listener = std::make_shared<OpenListener>(executor_, vault, policy_ == Policy::leastconn);
  vault->on_empty([this, raw = listener.get()] { close(*raw); });
  listeners_.push_back(listener);
  start_task(executor_, follow(listener));
}

void Dispatcher::close(OpenListener& listener) {
  sweep(listener);
  listener.close();
  std::erase_if(listeners_, [&](const auto& each) { return each.get() == &listener; });
}

/// The clients in the queue believe themselves connected.
void Dispatcher::sweep(OpenListener& listener) {
  gather(*listener.origin, &Recipient::is_serving);
  listener.origin->is_closed = true;
  if (candidates_.empty()) gather(*listener.origin, &Recipient::is_serving);
  for (int i = 0; i < accepts_at_the_end && !candidates_.empty(); ++i) {
    std::optional<Connection> next = accept_one(listener);
    if (!next) break;
    place(std::move(*next), false);
  }
  send_placed();
  settle();
}

asio::awaitable<void> Dispatcher::follow(std::shared_ptr<OpenListener> listener) {
  while (listener->watch) {
    if (!may_accept(*listener)) {
      listener->is_stalled = true;
      listener->resume.expires_at(TimePoint::max());
      boost::system::error_code cancelled;
      co_await listener->resume.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
      listener->is_stalled = false;
      continue;
    }
    const bool readable = co_await listener->watch->readable();
    if (!readable || !listener->watch) break;
    accept_from(*listener);
  }
}

bool Dispatcher::may_accept(const OpenListener& listener) const {
  if (accepts_again_) return false;
  return std::any_of(recipients_.begin(), recipients_.end(),
                     [&](const auto& each) { return each.second.has_room() && each.second.serves(*listener.origin); });
}

/// Nothing where there is none, or it can't be had now.
std::optional<Connection> Dispatcher::accept_one(const OpenListener& listener) {
  OpenListener::Accepted accepted = listener.accept(policy_ == Policy::source);
  if (accepted.connection) exhaustion_told_ = false;
  if (accepted.error != 0) on_accept_error(accepted.error);
  return std::move(accepted.connection);
}

void Dispatcher::accept_from(OpenListener& listener) {
  gather(*listener.origin, &Recipient::has_room);
  for (int i = 0; i < accepts_per_turn && !candidates_.empty(); ++i) {
    std::optional<Connection> next = accept_one(listener);
    if (!next) break;
    place(std::move(*next));
  }
  send_placed();
  settle();
}

/// It would be told of the same connection again at once.
void Dispatcher::on_accept_error(int error) {
  const bool is_exhausted = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  if (!std::exchange(exhaustion_told_, true))
    log::warning("can't accept: {}{}; connections wait", describe_errno(error),
                 is_exhausted ? " (raise LimitNOFILE or fs.file-max)" : "");
  accepts_again_ = now() + exhausted_pause;
  wake_at(*accepts_again_);
}

void Dispatcher::add(Key key, const std::vector<const Vault*>& listeners, bool takes_many,
                     const Recipient::Send& send) {
  Recipient::Terms terms{takes_many, policy_ == Policy::leastconn, takes_many ? room_for_many : room_of_node};
  if (policy_ == Policy::source) terms.room = room_of_source;
  recipients_.try_emplace(key, listeners, terms, send);
  settle();
}

void Dispatcher::add_cluster(Key key, const Recipient::Send& send, Recipient::Measure measure) {
  const bool is_counted = policy_ == Policy::leastconn;
  Recipient::Terms terms{false, is_counted, room_of_node, true};
  if (policy_ == Policy::source) terms.room = room_of_source;
  const auto [added, is_new] = recipients_.try_emplace(key, std::vector<const Vault*>{}, terms, send);
  if (is_new && is_counted) added->second.measure_by(std::move(measure));
}

void Dispatcher::serve(Key key, const Vault& listener, std::string_view name_there) {
  const auto found = recipients_.find(key);
  if (found == recipients_.end()) return;
  found->second.serve(listener, std::string(name_there));
  settle();
}

void Dispatcher::forgo(Key key, const Vault& listener) {
  const auto found = recipients_.find(key);
  if (found == recipients_.end()) return;
  take_back(found->second.forgo(listener));
  settle();
}

void Dispatcher::retire(Key key, std::function<void()> then) {
  const auto found = recipients_.find(key);
  if (found == recipients_.end()) return then();
  Recipient& recipient = found->second;
  const TimePoint latest = now() + patience_at_retirement;
  recipient.leave(std::move(then), latest);
  const bool is_last =
      std::none_of(recipients_.begin(), recipients_.end(), [](const auto& each) { return each.second.is_serving(); });
  if (!is_last) take_back(recipient.take_unsent());
  settle();
  if (const auto on_drained = recipient.take_on_drained(now())) return on_drained();
  wake_at(latest);
}

std::size_t Dispatcher::remove(Key key) {
  const auto found = recipients_.find(key);
  if (found == recipients_.end()) return 0;
  std::vector<Connection> left = found->second.take_all();
  const std::size_t count = left.size();
  recipients_.erase(found);
  take_back(std::move(left));
  settle();
  if (recipients_.empty()) {
    timer_.cancel();
    wake_ = TimePoint::max();
  }
  return count;
}

std::size_t Dispatcher::disconnect(Key key) {
  const auto found = recipients_.find(key);
  const auto on_drained = found == recipients_.end() ? std::function<void()>{} : found->second.take_on_drained();
  const std::size_t count = remove(key);
  if (on_drained) on_drained();
  return count;
}

bool Dispatcher::hear(Key key, const protocol::Message& message) {
  const auto found = recipients_.find(key);
  if (found == recipients_.end()) return false;
  Recipient& recipient = found->second;
  Recipient::Verdict verdict = recipient.hear(message, now());
  if (verdict.is_by_choice) {
    log::debug("worker {} turns {} connections away, which others get", key.first, verdict.refused.size());
    take_back(std::move(verdict.refused));
  } else if (!verdict.refused.empty()) {
    log::warning("worker {} could not take {} connection{}, which others get (is its limit of open files too low?)",
                 key.first, verdict.refused.size(), verdict.refused.size() == 1 ? "" : "s");
    take_back(std::move(verdict.refused));
  }
  wake_at(recipient.next_wake());
  accepts_again_.reset();  // an acknowledged connection's descriptor is free
  if (recipient.has_unsent()) placed_.push_back(&recipient);
  settle();
  if (const auto on_drained = recipient.take_on_drained(now())) on_drained();
  return verdict.is_expected;
}

void Dispatcher::on_writable(Key key) {
  const auto found = recipients_.find(key);
  if (found == recipients_.end()) return;
  found->second.unblock();
  settle();
}

Dispatcher::Load Dispatcher::load(Key key) const {
  const auto found = recipients_.find(key);
  return found == recipients_.end() ? Load{} : Load{found->second.outstanding(), found->second.held()};
}

void Dispatcher::gather(const Origin& origin, bool (Recipient::*condition)() const) {
  candidates_.clear();
  candidate_recipients_.clear();
  const TimePoint at = policy_ == Policy::leastconn ? now() : TimePoint{};
  for (auto& [key, recipient] : recipients_) {
    if (!(recipient.*condition)() || !recipient.serves(origin)) continue;
    recipient.measure(at);
    candidates_.push_back({key.first, key.second, recipient.held()});
    candidate_recipients_.push_back(&recipient);
  }
}

/// With one of those that were gathered.
void Dispatcher::place(Connection connection, bool is_bounded) {
  const std::size_t chosen = connection_policy_->choose(candidates_, connection.client);
  Recipient& recipient = *candidate_recipients_[chosen];
  if (!recipient.has_unsent()) placed_.push_back(&recipient);
  recipient.assign(std::move(connection));
  ++candidates_[chosen].held;
  if (!is_bounded || recipient.has_room()) return;
  candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(chosen));
  candidate_recipients_.erase(candidate_recipients_.begin() + static_cast<std::ptrdiff_t>(chosen));
}

void Dispatcher::send_placed() {
  for (Recipient* each : placed_) take_back(each->send());
  placed_.clear();
}

void Dispatcher::take_back(std::vector<Connection> connections) {
  for (Connection& each : connections) homeless_.push_back(std::move(each));
}

/// Nobody listens any more where it came from, and of those who are there nobody knows what to do with it.
bool Dispatcher::is_hopeless(const Connection& connection) const {
  if (!connection.origin->is_closed || recipients_.empty()) return false;
  return std::none_of(recipients_.begin(), recipients_.end(),
                      [&](const auto& each) { return each.second.serves(*connection.origin); });
}

/// Whether there was room for any.
bool Dispatcher::place_homeless() {
  std::deque<Connection> waiting = std::exchange(homeless_, {});
  const std::size_t before = waiting.size();
  for (Connection& each : waiting) {
    if (is_hopeless(each)) continue;
    gather(*each.origin, &Recipient::has_room);
    if (candidates_.empty())
      homeless_.push_back(std::move(each));
    else
      place(std::move(each));
  }
  return homeless_.size() < before;
}

/// To be called after whatever has changed: who waits longest comes first, the queues of the kernel last. After it, the
/// homeless are those that nobody with room serves, so that no accept can overtake them.
void Dispatcher::settle() {
  send_placed();
  while (!homeless_.empty() && place_homeless()) send_placed();
  for (const auto& listener : listeners_)
    if (listener->is_stalled && may_accept(*listener)) listener->resume.cancel();
}

void Dispatcher::wake_at(TimePoint at) {
  if (at >= wake_) return;
  wake_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) on_time();
  });
}

void Dispatcher::on_time() {
  wake_ = TimePoint::max();
  const TimePoint at = now();
  std::vector<std::function<void()>> drained;
  for (auto& [key, recipient] : recipients_) {
    recipient.on_time(at);
    if (auto on_drained = recipient.take_on_drained(at)) drained.push_back(std::move(on_drained));
    wake_at(recipient.next_wake());
  }
  if (accepts_again_ && *accepts_again_ <= at) accepts_again_.reset();
  if (accepts_again_) wake_at(*accepts_again_);
  settle();
  for (const auto& each : drained) each();
}

}  // namespace baton
