// Master. The staff's side of the channels: what workers are sent, and what they say.
#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <utility>

#include "common/log.hpp"
#include "common/protocol.hpp"
#include "master/process/process_table.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using protocol::Kind;
using protocol::Phase;

namespace {

Phase phase(const WorkerHandle& worker) {
  return worker.is_ready ? Phase::serving : Phase::starting;
}

bool is_answer(Kind kind) {
  return kind == Kind::handle_ack || kind == Kind::handle_nack || kind == Kind::taken || kind == Kind::closed ||
         kind == Kind::open || kind == Kind::all_closed || kind == Kind::accepted;
}

}  // namespace

/// The first messages, in the dialects that begin with some.
void ProcessTable::introduce(WorkerHandle& worker) {
  const Options& options = worker.generation->options;
  if (inherits_listeners(options.dialect) || asks_for_listeners(options.dialect)) return;
  if (options.command.empty()) give_row(worker);
  if (hands_connections(options.policy)) return greet(worker);
  for (std::size_t i = 0; i < worker.generation->listeners.size(); ++i) hand_over(worker, i);
}

void ProcessTable::give_row(WorkerHandle& worker) {
  worker.row = scoreboard_.take();
  try {
    if (worker.row) return send(worker, protocol::scoreboard_line(*worker.row), scoreboard_.memory().duplicate());
  } catch (const std::system_error& error) {  // out of descriptors
    log::debug("{}: {}", worker.name(), error.what());
    scoreboard_.give_back(*std::exchange(worker.row, std::nullopt));
  }
  log::warning("{} has no place on the scoreboard, and counts for itself", worker.name());
}

void ProcessTable::hand_over(WorkerHandle& worker, std::size_t listener) {
  hand_over(worker, worker.generation->listeners.at(listener)->vault(worker.number));
}

void ProcessTable::hand_over(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) {
  Fd copy = vault->copy();
  worker.unacknowledged.push_back(vault);
  send(worker, protocol::listener_line(vault->name()), std::move(copy));
}

void ProcessTable::lend(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) {
  hand_over(worker, vault);
  worker.borrowed[vault->cookie()] = vault;
}

void ProcessTable::withdraw(WorkerHandle& worker, std::uint64_t cookie) {
  worker.borrowed.erase(cookie);
  send(worker, protocol::withdraw_line(cookie));
}

/// A worker that gets connections gets no listener, by which it would know what is wanted of it.
void ProcessTable::greet(WorkerHandle& worker) {
  const Options& options = worker.generation->options;
  worker.is_greeted = true;
  send(worker, protocol::greeting_line(options.policy == Policy::leastconn));
  if (options.ready != Readiness::handle) return;
  worker.is_probed = true;
  send(worker, protocol::probe_line());
}

Channel::Sent ProcessTable::send_now(int id, std::string_view line, std::span<const int> handles) {
  WorkerHandle& worker = at(id);
  if (!worker.channel_end) return Channel::Sent::closed;
  const Channel::Sent sent = worker.channel_end->channel.send_now(line, handles);
  worker.wants_room = worker.wants_room || sent == Channel::Sent::full;
  const bool is_unfinished = sent == Channel::Sent::full || sent == Channel::Sent::queued;
  if (is_unfinished && !std::exchange(worker.flushing, true)) start_task(executor_, flush_channel(workers_.at(id)));
  return sent;
}

void ProcessTable::send(WorkerHandle& worker, std::string_view line, std::optional<Fd> handle) {
  if (!worker.channel_end) return;
  switch (worker.channel_end->channel.send(line, std::move(handle))) {
    case Channel::Sent::queued:
      if (!std::exchange(worker.flushing, true)) start_task(executor_, flush_channel(workers_.at(worker.id)));
      break;
    case Channel::Sent::full:
      if (!std::exchange(worker.loss_told, true))
        log::warning("{} does not read its channel; messages to it are lost", worker.name());
      break;
    case Channel::Sent::whole:
    case Channel::Sent::closed:  // the end of file, which follows, is seen by follow_channel()
      break;
  }
}

Channel::Sent ProcessTable::send_message(int id, std::string_view line) {
  WorkerHandle& worker = at(id);
  if (!worker.channel_end) return Channel::Sent::closed;
  Channel& channel = worker.channel_end->channel;
  const Channel::Sent sent = gathers_ ? channel.add(line) : channel.send(line);
  if (gathers_ && sent == Channel::Sent::queued) {
    gathered_.insert(id);
    return sent;
  }
  worker.wants_room = worker.wants_room || sent == Channel::Sent::full;
  const bool is_unfinished = sent == Channel::Sent::full || sent == Channel::Sent::queued;
  if (is_unfinished && !std::exchange(worker.flushing, true)) start_task(executor_, flush_channel(workers_.at(id)));
  return sent;
}

/// Many answers in one write.
void ProcessTable::send_gathered() {
  for (const int id : std::exchange(gathered_, {})) {
    const auto found = workers_.find(id);
    if (found == workers_.end() || !found->second->channel_end) continue;
    const bool is_unfinished = found->second->channel_end->channel.flush() == Channel::Sent::queued;
    if (is_unfinished && !std::exchange(found->second->flushing, true))
      start_task(executor_, flush_channel(found->second));
  }
}

asio::awaitable<void> ProcessTable::flush_channel(Handle worker) {
  Channel::Sent sent = Channel::Sent::queued;
  while (sent == Channel::Sent::queued && worker->channel_end) {
    const bool writable = co_await worker->channel_end->watch.writable();
    if (!writable || !worker->channel_end) break;
    sent = worker->channel_end->channel.flush();
    if (sent != Channel::Sent::queued && !worker->wants_room) break;
    // It may be for want of memory, while the socket is writable all the time.
    asio::steady_timer pause(worker->process_watch.executor(), 10ms);
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  worker->flushing = false;
  if (std::exchange(worker->wants_room, false) && worker->channel_end) observer_.on_writable(*worker);
}

asio::awaitable<void> ProcessTable::follow_channel(Handle worker) {
  while (worker->channel_end) {
    const bool readable = co_await worker->channel_end->watch.readable();
    if (!readable || !worker->channel_end) break;
    Channel::Batch batch = worker->channel_end->channel.receive();
    for (const std::string& fault : batch.faults)
      if (may_log(*worker)) log::warning("{}: {}", worker->name(), fault);
    hear(*worker, std::move(batch.frames));
    if (!batch.closed) continue;
    worker->channel_end.reset();
    log::debug("{}: the channel has ended", worker->name());
    if (worker->cluster && worker->cluster->is_leaving) start_task(executor_, see_off(worker));
    observer_.on_channel_end(*worker);
  }
}

void ProcessTable::hear(WorkerHandle& worker, std::vector<Frame> frames) {
  gathers_ = true;
  std::size_t heard = 0;
  for (Frame& frame : frames) {
    on_message(worker, std::move(frame));
    if (++heard % lines_per_write == 0) send_gathered();
  }
  gathers_ = false;
  send_gathered();
}

/// Of a worker that has ended: what it acknowledged it may have answered, in part or whole.
void ProcessTable::hear_last_answers(WorkerHandle& worker) {
  constexpr int most_rounds = 64;  // what it has started may hold the channel, and talk on
  bool goes_on = worker.channel_end != nullptr;
  for (int round = 0; goes_on && round < most_rounds; ++round) {
    Channel::Batch batch = worker.channel_end->channel.receive();
    for (Frame& frame : batch.frames) {
      const protocol::Message message = protocol::decode(std::move(frame.value));
      const bool is_of_connections =
          message.kind == Kind::taken || message.kind == Kind::accepted || message.kind == Kind::handle_ack;
      if (is_of_connections) static_cast<void>(observer_.on_answer(worker, message));
    }
    goes_on = !batch.closed && !batch.frames.empty();
  }
}

/// Whether a line about what it sent may go to the log; says so itself where lines are left out.
bool ProcessTable::may_log(WorkerHandle& worker) {
  switch (worker.log_lines.ask(std::chrono::steady_clock::now())) {
    case RateLimit::Answer::granted:
      if (const std::uint64_t lost = worker.log_lines.take_refused(); lost > 0)
        log::warning("{}: of what it sent, {} more messages are not in the log", worker.name(), lost);
      return true;
    case RateLimit::Answer::refused_first:
      log::warning("{} sends more than goes to the log; now and then some of it does", worker.name());
      return false;
    case RateLimit::Answer::refused:
      break;
  }
  return false;
}

void ProcessTable::on_message(WorkerHandle& worker, Frame frame) {
  const protocol::Message message = protocol::decode(std::move(frame.value));
  const bool is_legal = protocol::is_legal(message.kind, protocol::Sender::worker, phase(worker));
  const bool is_heard_out = is_legal && is_answer(message.kind) && hear_answer(worker, message);
  if (!is_legal || (is_answer(message.kind) && !is_heard_out)) {
    if (may_log(worker))
      log::warning("{}: a {} message, which is out of place here, is ignored", worker.name(),
                   protocol::name(message.kind));
    // A Node process that sends a handle holds every later message back until it is confirmed.
    if (message.kind == Kind::handle) send(worker, protocol::handle_ack_line());
    return;
  }
  worker.last_sign = std::chrono::steady_clock::now();
  worker.has_spoken = true;
  switch (message.kind) {
    case Kind::hello:
      return welcome(worker);
    case Kind::ready:
      worker.said_ready = true;
      return tell_if_ready(worker);
    case Kind::retire:
      return observer_.on_wants_to_retire(worker, message.detail);
    case Kind::cluster:
      if (worker.cluster) observer_.on_cluster(worker, message);
      return;
    case Kind::bus:
      return observer_.on_bus_message(worker, message.value.get_object());
    case Kind::plain:
      return observer_.on_words(worker, message.value);
    default:
      return;
  }
}

/// Of a command that knows baton.
void ProcessTable::welcome(WorkerHandle& worker) {
  const bool is_embedded = worker.generation->options.command.empty();
  if (is_embedded || std::exchange(worker.said_hello, true))
    return log::warning("{}: a hello message, which is out of place here, is ignored", worker.name());
  // While it is probed, it would take the scoreboard's descriptor for the probe's, if it read both together.
  if (!worker.is_probed) give_row(worker);
}

/// False: nobody asked.
bool ProcessTable::hear_answer(WorkerHandle& worker, const protocol::Message& message) {
  const bool is_of_handle = message.kind == Kind::handle_ack || message.kind == Kind::handle_nack;
  if (is_of_handle && std::exchange(worker.is_probed, false)) {
    if (worker.said_hello) give_row(worker);
    tell_if_ready(worker);
    return true;
  }
  if (is_of_handle && worker.cluster && hear_confirmation(worker, message)) return true;
  if (message.kind == Kind::handle_ack && !worker.unacknowledged.empty()) {
    worker.unacknowledged.pop_front();
    tell_if_ready(worker);
    return true;
  }
  if (message.kind == Kind::handle_nack && !worker.unacknowledged.empty()) {
    on_refusal(worker);
    return true;
  }
  const bool answers_greeting = message.kind == Kind::taken && !worker.is_ready;
  if (answers_greeting && std::exchange(worker.is_greeted, false)) return worker.takes_many = true;
  return observer_.on_answer(worker, message);
}

/// It got the message without its descriptor: it was at its limit of open files. Node, too, tries three times.
void ProcessTable::on_refusal(WorkerHandle& worker) {
  constexpr unsigned most_refusals = 3;
  const std::shared_ptr<Vault> listener = worker.unacknowledged.front();
  worker.unacknowledged.pop_front();
  const bool is_lent = !worker.holds_by_right(*listener);
  if (is_lent && !worker.borrowed.contains(listener->cookie())) return;  // withdrawn meanwhile
  try {
    if (++worker.refusals < most_refusals) return hand_over(worker, listener);
  } catch (const std::system_error& error) {
    log::error("{} asks for its listener again, and there is none to give: {}", worker.name(), error.what());
    return worker.child.signal(SIGTERM);
  }
  if (is_lent) return log::error("{} could not receive a listener that it was to serve, too", worker.name());
  log::error("{} could not receive the listener, and is stopped (is its limit of open files too low?)", worker.name());
  worker.child.signal(SIGTERM);
}

void ProcessTable::tell_if_ready(WorkerHandle& worker) {
  if (worker.is_ready || worker.is_probed || !worker.unacknowledged.empty()) return;
  switch (worker.generation->options.ready) {
    case Readiness::message:
      worker.is_ready = worker.said_ready;
      break;
    case Readiness::handle:
      worker.is_ready = worker.cluster ? worker.cluster->listens : worker.said_ready || !worker.said_hello;
      break;
    case Readiness::notify:
      worker.is_ready = worker.notified_ready;
      break;
    case Readiness::accepts:
      worker.is_ready = worker.notified_ready || worker.said_ready || (worker.accepts && !worker.said_hello);
      break;
  }
  if (worker.is_ready) observer_.on_ready(worker);
}

}  // namespace baton
