// Master. The first messages, and the dispatch of what is heard.
#include "master/process/conversation.hpp"

#include <chrono>
#include <system_error>
#include <utility>

#include "common/log.hpp"
#include "master/process/readiness_watch.hpp"

namespace baton {

namespace asio = boost::asio;
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

void Conversation::introduce(WorkerHandle& worker) {
  const Options& options = worker.generation->options;
  if (inherits_listeners(options.dialect) || asks_for_listeners(options.dialect)) return;
  if (options.command.empty()) give_row(worker);
  if (hands_connections(options.policy)) return greet(worker);
  for (const auto& group : worker.generation->listeners) parts_.handover.hand_over(worker, group->vault(worker.number));
}

void Conversation::give_row(WorkerHandle& worker) {
  worker.row = parts_.scoreboard.take();
  try {
    if (worker.row)
      return parts_.writer.send(worker, protocol::scoreboard_line(*worker.row), parts_.scoreboard.memory().duplicate());
  } catch (const std::system_error& error) {  // out of descriptors
    log::debug("{}: {}", worker.name(), error.what());
    parts_.scoreboard.give_back(*std::exchange(worker.row, std::nullopt));
  }
  log::warning("{} has no place on the scoreboard, and counts for itself", worker.name());
}

/// A worker that gets connections gets no listener, by which it would know what is wanted of it.
void Conversation::greet(WorkerHandle& worker) {
  const Options& options = worker.generation->options;
  worker.pending.greeting = true;
  parts_.writer.send(worker, protocol::greeting_line(options.policy == Policy::leastconn));
  if (options.ready != Readiness::handle) return;
  worker.pending.probe = true;
  parts_.writer.send(worker, protocol::probe_line());
}

asio::awaitable<void> Conversation::follow(std::shared_ptr<WorkerHandle> worker) {
  while (worker->channel_end) {
    const bool readable = co_await worker->channel_end->watch.readable();
    if (!readable || !worker->channel_end) break;
    Channel::Batch batch = worker->channel_end->channel.receive();
    for (const std::string& fault : batch.faults)
      if (worker->may_log()) log::warning("{}: {}", worker->name(), fault);
    hear(*worker, std::move(batch.frames));
    if (!batch.closed) continue;
    worker->channel_end.reset();
    log::debug("{}: the channel has ended", worker->name());
    parts_.cluster_link.on_channel_end(worker);
    parts_.observer.on_channel_end(*worker);
  }
}

void Conversation::hear(WorkerHandle& worker, std::vector<Frame> frames) {
  parts_.writer.start_gathering();
  std::size_t heard = 0;
  for (Frame& frame : frames) {
    on_message(worker, std::move(frame));
    if (++heard % lines_per_write == 0) parts_.writer.flush_gathered();
  }
  parts_.writer.stop_gathering();
}

void Conversation::hear_last_answers(WorkerHandle& worker) {
  constexpr int most_rounds = 64;  // what it has started may hold the channel, and talk on
  bool goes_on = worker.channel_end != nullptr;
  for (int round = 0; goes_on && round < most_rounds; ++round) {
    Channel::Batch batch = worker.channel_end->channel.receive();
    for (Frame& frame : batch.frames) {
      const protocol::Message message = protocol::decode(std::move(frame.value));
      const bool is_of_connections =
          message.kind == Kind::taken || message.kind == Kind::accepted || message.kind == Kind::handle_ack;
      if (is_of_connections) static_cast<void>(parts_.observer.on_answer(worker, message));
    }
    goes_on = !batch.closed && !batch.frames.empty();
  }
}

void Conversation::on_message(WorkerHandle& worker, Frame frame) {
  const protocol::Message message = protocol::decode(std::move(frame.value));
  const bool is_legal = protocol::is_legal(message.kind, protocol::Sender::worker, phase(worker));
  const bool is_heard_out = is_legal && is_answer(message.kind) && hear_answer(worker, message);
  if (!is_legal || (is_answer(message.kind) && !is_heard_out)) {
    if (worker.may_log())
      log::warning("{}: a {} message, which is out of place here, is ignored", worker.name(),
                   protocol::name(message.kind));
    // A Node process that sends a handle holds every later message back until it is confirmed.
    if (message.kind == Kind::handle) parts_.writer.send(worker, protocol::handle_ack_line());
    return;
  }
  worker.last_sign = std::chrono::steady_clock::now();
  worker.has_spoken = true;
  switch (message.kind) {
    case Kind::hello:
      return on_hello(worker);
    case Kind::ready:
      worker.shown.said_ready = true;
      return announce_if_ready(worker, parts_.observer);
    case Kind::retire:
      return parts_.observer.on_wants_to_retire(worker, message.detail);
    case Kind::cluster:
      if (worker.cluster) parts_.observer.on_cluster(worker, message);
      return;
    case Kind::bus:
      return parts_.observer.on_bus_message(worker, message.value.get_object());
    case Kind::plain:
      return parts_.observer.on_words(worker, message.value);
    default:
      return;
  }
}

/// Of a command that knows baton.
void Conversation::on_hello(WorkerHandle& worker) {
  const bool is_embedded = worker.generation->options.command.empty();
  if (is_embedded || std::exchange(worker.shown.said_hello, true))
    return log::warning("{}: a hello message, which is out of place here, is ignored", worker.name());
  // While it is probed, it would take the scoreboard's descriptor for the probe's, if it read both together.
  if (!worker.pending.probe) give_row(worker);
}

/// False: nobody asked.
bool Conversation::hear_answer(WorkerHandle& worker, const protocol::Message& message) {
  const bool is_of_handle = message.kind == Kind::handle_ack || message.kind == Kind::handle_nack;
  if (is_of_handle && hear_answer_to_handle(worker, message.kind)) return true;
  const bool answers_greeting = message.kind == Kind::taken && !worker.is_ready;
  if (answers_greeting && std::exchange(worker.pending.greeting, false)) return worker.takes_many = true;
  return parts_.observer.on_answer(worker, message);
}

/// False: it answers nothing that was sent from here.
bool Conversation::hear_answer_to_handle(WorkerHandle& worker, Kind kind) {
  if (std::exchange(worker.pending.probe, false)) {
    if (worker.shown.said_hello) give_row(worker);
    announce_if_ready(worker, parts_.observer);
    return true;
  }
  if (worker.cluster && parts_.cluster_link.hear_answer(worker, kind)) return true;
  if (!parts_.handover.hear_answer(worker, kind)) return false;
  if (kind == Kind::handle_ack) announce_if_ready(worker, parts_.observer);
  return true;
}

}  // namespace baton
