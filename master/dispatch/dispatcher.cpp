// Master. Accept, choose, hand over; and who has to wait.
#include "master/dispatch/dispatcher.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

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
constexpr Milliseconds patience_at_farewell = 1s;

TimePoint now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Dispatcher::Gate::Gate(const asio::any_io_executor& executor, std::shared_ptr<Vault> its_vault, bool is_counted)
    : vault(std::move(its_vault)),
      origin(std::make_shared<Origin>(*vault, vault->name(), is_counted)),
      listener(vault->copy()),
      watch(std::make_unique<Watch>(executor, listener)),
      resume(executor) {
  set_nonblocking(listener);
  // Accepted sockets inherit it, which saves a call per connection; a Unix listener refuses it, and needs none.
  const int on = 1;
  ::setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Dispatcher::Dispatcher(asio::any_io_executor executor, Policy policy)
    : executor_(std::move(executor)), policy_(policy), chooser_(make_chooser(policy)), timer_(executor_) {}

Dispatcher::~Dispatcher() {
  for (const auto& gate : gates_) {
    gate->vault->on_empty({});
    gate->watch.reset();
  }
}

void Dispatcher::open(const std::shared_ptr<Vault>& vault) {
  for (const auto& each : gates_)
    if (each->vault == vault) return;
  auto gate = std::make_shared<Gate>(executor_, vault, policy_ == Policy::leastconn);
  vault->on_empty([this, raw = gate.get()] { close(*raw); });
  gates_.push_back(gate);
  start_task(executor_, follow(gate));
}

void Dispatcher::close(Gate& gate) {
  sweep(gate);
  gate.watch.reset();
  gate.listener.reset();
  gate.resume.cancel();
  std::erase_if(gates_, [&](const auto& each) { return each.get() == &gate; });
}

/// The clients in the queue believe themselves connected.
void Dispatcher::sweep(Gate& gate) {
  gather(*gate.origin, &Recipient::is_serving);
  gate.origin->is_closed = true;
  if (candidates_.empty()) gather(*gate.origin, &Recipient::is_serving);
  for (int i = 0; i < accepts_at_the_end && !candidates_.empty(); ++i) {
    std::optional<Connection> next = accept_one(gate);
    if (!next) break;
    place(std::move(*next), false);
  }
  send_placed();
  settle();
}

asio::awaitable<void> Dispatcher::follow(std::shared_ptr<Gate> gate) {
  while (gate->watch) {
    if (!may_accept(*gate)) {
      gate->is_stalled = true;
      gate->resume.expires_at(TimePoint::max());
      boost::system::error_code cancelled;
      co_await gate->resume.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
      gate->is_stalled = false;
      continue;
    }
    const bool readable = co_await gate->watch->readable();
    if (!readable || !gate->watch) break;
    accept_from(*gate);
  }
}

bool Dispatcher::may_accept(const Gate& gate) const {
  if (accepts_again_) return false;
  return std::any_of(recipients_.begin(), recipients_.end(),
                     [&](const auto& each) { return each.second.has_room() && each.second.serves(*gate.origin); });
}

void Dispatcher::accept_from(Gate& gate) {
  gather(*gate.origin, &Recipient::has_room);
  for (int i = 0; i < accepts_per_turn && !candidates_.empty(); ++i) {
    std::optional<Connection> next = accept_one(gate);
    if (!next) break;
    place(std::move(*next));
  }
  send_placed();
  settle();
}

/// Nothing where there is none, or it can't be had now.
std::optional<Connection> Dispatcher::accept_one(const Gate& gate) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  const bool by_address = policy_ == Policy::source;
  while (true) {
    Fd accepted{::accept4(gate.listener.get(), by_address ? reinterpret_cast<sockaddr*>(&peer) : nullptr,
                          by_address ? &size : nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (accepted.is_open()) {
      exhaustion_told_ = false;
      return Connection{std::move(accepted), by_address ? client_address(peer) : ClientAddress{}, gate.origin};
    }
    // On Linux these are of the connection that would have been accepted: it is gone, and the next may be sound.
    const bool is_of_one = errno == ECONNABORTED || errno == EPROTO || errno == ENETDOWN || errno == ENETUNREACH ||
                           errno == EHOSTDOWN || errno == EHOSTUNREACH || errno == ENONET || errno == ENOPROTOOPT ||
                           errno == EPERM || errno == EINTR;
    if (is_of_one) continue;
    if (errno != EAGAIN) on_accept_error(errno);
    return std::nullopt;
  }
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
  const TimePoint latest = now() + patience_at_farewell;
  recipient.leave(std::move(then), latest);
  const bool is_last =
      std::none_of(recipients_.begin(), recipients_.end(), [](const auto& each) { return each.second.is_serving(); });
  if (!is_last) take_back(recipient.take_unsent());
  settle();
  if (const auto stop_signal = recipient.take_farewell(now())) return stop_signal();
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
  const auto stop_signal = found == recipients_.end() ? std::function<void()>{} : found->second.take_farewell();
  const std::size_t count = remove(key);
  if (stop_signal) stop_signal();
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
  if (const auto stop_signal = recipient.take_farewell(now())) stop_signal();
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
  const std::size_t chosen = chooser_->choose(candidates_, connection.client);
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
  for (const auto& gate : gates_)
    if (gate->is_stalled && may_accept(*gate)) gate->resume.cancel();
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
  std::vector<std::function<void()>> farewells;
  for (auto& [key, recipient] : recipients_) {
    recipient.on_time(at);
    if (auto stop_signal = recipient.take_farewell(at)) farewells.push_back(std::move(stop_signal));
    wake_at(recipient.next_wake());
  }
  if (accepts_again_ && *accepts_again_ <= at) accepts_again_.reset();
  if (accepts_again_) wake_at(*accepts_again_);
  settle();
  for (const auto& each : farewells) each();
}

}  // namespace baton
