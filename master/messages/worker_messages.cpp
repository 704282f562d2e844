// Master. Between the bus and the workers' channels.
#include "master/messages/worker_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <set>
#include <utility>

#include "common/log.hpp"
#include "common/protocol.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

state::Moment today() {
  return std::chrono::time_point_cast<state::Moment::duration>(std::chrono::system_clock::now());
}

/// For the log.
std::string shown(const boost::json::value& value) {
  constexpr std::size_t most = std::size_t{4} << 10;
  std::string text = boost::json::serialize(value);
  if (text.size() <= most) return text;
  const std::size_t size = text.size();
  std::size_t cut = most;
  while ((static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80U) --cut;  // not within a character
  text.resize(cut);
  return fmt::format("{}… ({} bytes)", text, size);
}

/// The embedded worker hears nothing; a program that has its listener from the start may not know of its channel.
bool takes_messages(const WorkerHandle& worker) {
  const Options& options = worker.generation->options;
  return !options.command.empty() && (!inherits_listeners(options.dialect) || worker.has_spoken);
}

}  // namespace

WorkerMessages::WorkerMessages(const asio::any_io_executor& executor, ProcessTable& processes, Events& events)
    : processes_(processes), events_(events), timer_(executor, TimePoint::max()) {
  store_.on_change([this](const state::Change& change) { on_change(change); });
}

void WorkerMessages::open_state(const std::string& path) {
  if (path.empty()) return;
  file_ = std::make_unique<state::File>(path);
  state::File::Contents contents = file_->read();
  store_.load(std::move(contents.entries), contents.last_version);
  store_.set_journal(file_.get());
  log::info("state of {} keys from {}", store_.size(), path);
}

void WorkerMessages::on_change(const state::Change& change) {
  bus_.tell(change);
  if (!changes_.has_subscribers()) return;
  boost::json::parse_options options;
  options.max_depth = protocol::deepest;  // it came in by a channel, perhaps
  const auto fields = boost::json::parse("{" + state::describe(change) + "}", {}, options);
  changes_.publish(change.entry ? "set" : "deleted", fields.get_object());
}

void WorkerMessages::on_bus_message(const WorkerHandle& worker, const boost::json::object& said) {
  bus_.take(worker.id, said, worker.last_sign, today());
  hurry();
}

void WorkerMessages::on_words(WorkerHandle& worker, const boost::json::value& words) {
  if (events_.has_subscribers())
    events_.publish("message", {{"worker", worker.number}, {"pid", worker.child.pid()}, {"message", words}});
  if (worker.may_log()) log::info("{} says {}", worker.name(), shown(words));
}

void WorkerMessages::hear(int id, const boost::json::value& message) {
  on_words(processes_.at(id), message);
}

void WorkerMessages::send(const Addressee& to, const boost::json::value& message,
                          std::optional<std::chrono::milliseconds> time_limit, const Done& done) {
  bus_.send(to, message, time_limit, std::chrono::steady_clock::now(), done);
  hurry();
}

std::string WorkerMessages::carry_out(const state::Operation& operation) {
  std::string answer = "{";
  state::carry_out(store_, operation, today(), answer);
  answer += '}';
  hurry();
  return answer;
}

MessageBus::Transport::Delivery WorkerMessages::deliver(int id, std::string_view line) {
  const auto found = processes_.all().find(id);
  if (found == processes_.all().end()) return Delivery::gone;
  if (!takes_messages(*found->second)) return Delivery::deaf;
  switch (processes_.send_message(id, line)) {
    case Channel::Sent::whole:
    case Channel::Sent::queued:
      return Delivery::done;
    case Channel::Sent::full:
      return Delivery::full;
    case Channel::Sent::closed:
      break;
  }
  return Delivery::gone;
}

std::optional<int> WorkerMessages::holder(unsigned number) const {
  std::optional<int> found;
  bool is_ready = false;
  for (const auto& [id, worker] : processes_.all()) {
    if (worker->number != number || !worker->channel_end || (is_ready && !worker->is_ready)) continue;
    found = id;
    is_ready = worker->is_ready;
  }
  return found;
}

std::vector<int> WorkerMessages::holders() const {
  std::set<unsigned> numbers;
  for (const auto& [id, worker] : processes_.all()) numbers.insert(worker->number);
  std::vector<int> ids;
  for (const unsigned each : numbers)
    if (const auto id = holder(each)) ids.push_back(*id);
  return ids;
}

unsigned WorkerMessages::number_of(int id) const {
  const auto found = processes_.all().find(id);
  return found == processes_.all().end() ? 0 : found->second->number;
}

/// The next moment at which something is over.
TimePoint WorkerMessages::next_deadline() const {
  TimePoint next = bus_.deadline().value_or(TimePoint::max());
  if (const auto expiry = store_.deadline()) {
    const auto left = std::clamp<std::chrono::milliseconds>(*expiry - today() + 1ms, 0ms, 24h);
    next = std::min(next, std::chrono::steady_clock::now() + left);
  }
  return next;
}

void WorkerMessages::hurry() {
  if (!bus_.deadline() && !store_.deadline()) return;
  if (const TimePoint next = next_deadline(); next < timer_.expiry()) timer_.expires_at(next);
}

asio::awaitable<void> WorkerMessages::follow_time() {
  constexpr auto pause_after_failure = 1s;
  hurry();
  while (!ended_) {
    boost::system::error_code cancelled;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled) continue;
    timer_.expires_at(TimePoint::max());
    bus_.expire(std::chrono::steady_clock::now());
    TimePoint next = TimePoint::max();
    try {
      store_.expire(today());
      next = next_deadline();
    } catch (const state::Refusal& refusal) {
      log::error("{}; keys whose time is over stay until it can", refusal.what());
      next = std::chrono::steady_clock::now() + pause_after_failure;
    }
    if (next < timer_.expiry()) timer_.expires_at(next);
  }
}

void WorkerMessages::end() {
  ended_ = true;
  timer_.cancel();
}

}  // namespace baton
