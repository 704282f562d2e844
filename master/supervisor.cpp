// Master. Spawning, the channel's messages, and the end of workers.
#include "master/supervisor.hpp"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <csignal>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/task.hpp"

namespace baton {

namespace asio = boost::asio;
using protocol::Kind;
using protocol::Phase;

std::string WorkerHandle::name() const {
  return fmt::format("worker {} pid {}", number, child.pid());
}

namespace {

Command worker_command(const Options& options) {
  if (!options.command.empty()) return {find_program(options.command.front()), options.command};
  // By this link rather than by name, so that a binary replaced on disk still starts workers of its own version.
  Command embedded{"/proc/self/exe", {"baton", "worker"}};
  for (std::string& argument : to_arguments(options.worker)) embedded.arguments.push_back(std::move(argument));
  return embedded;
}

}  // namespace

Supervisor::Supervisor(asio::any_io_executor executor, const Options& options, std::function<void()> on_all_ended)
    : executor_(std::move(executor)),
      options_(options),
      on_all_ended_(std::move(on_all_ended)),
      command_(worker_command(options)),
      drain_timer_(executor_) {}

Supervisor::~Supervisor() {
  for (const auto& [number, worker] : workers_) {
    worker->child.kill_group();
    try {
      static_cast<void>(worker->child.reap());
    } catch (const std::system_error& error) {
      log::error("{}: {}", worker->name(), error.what());
    }
  }
}

void Supervisor::start(std::vector<Listener>& listeners) {
  try {
    for (unsigned number = 1; number <= options_.workers; ++number) {
      const Handle worker = spawn(static_cast<int>(number));
      for (const Listener& listener : listeners) hand_over(worker, listener);
    }
  } catch (const std::system_error& error) {
    throw StartError(
        fmt::format("can't start {} workers: {}{}", options_.workers, error.what(), way_out(error.code().value())));
  }
  for (Listener& listener : listeners) listener.socket.reset();
}

Supervisor::Handle Supervisor::spawn(int number) {
  auto [ours, theirs] = make_channel_pair();
  const std::vector<std::string> variables{
      fmt::format("{}={}", protocol::channel_variable, theirs.get()),
      fmt::format("{}=json", protocol::serialization_variable),
      fmt::format("{}={}", protocol::number_variable, number),
  };
  Child child = Child::spawn(executor_, command_, theirs, variables);
  auto worker = std::make_shared<WorkerHandle>(number, executor_, std::move(child), std::move(ours));
  workers_[number] = worker;
  log::debug("{} spawned", worker->name());
  start_task(executor_, follow_process(worker));
  start_task(executor_, follow_channel(worker));
  return worker;
}

void Supervisor::hand_over(const Handle& worker, const Listener& listener) {
  ++worker->unacknowledged;
  send(worker, protocol::listener_line(), listener.socket.duplicate());
}

void Supervisor::send(const Handle& worker, std::string_view line, std::optional<Fd> handle) {
  if (!worker->end) return;
  switch (worker->end->channel.send(line, std::move(handle))) {
    case Channel::Sent::queued:
      if (!std::exchange(worker->flushing, true)) start_task(executor_, flush_channel(worker));
      break;
    case Channel::Sent::full:
      log::warning("{} does not read its channel; a message to it is lost", worker->name());
      break;
    case Channel::Sent::whole:
    case Channel::Sent::closed:  // the end of file, which follows, is seen by follow_channel()
      break;
  }
}

asio::awaitable<void> Supervisor::flush_channel(Handle worker) {
  Channel::Sent sent = Channel::Sent::queued;
  while (sent == Channel::Sent::queued && worker->end) {
    const bool writable = co_await worker->end->watch.writable();
    if (!writable || !worker->end) break;
    sent = worker->end->channel.flush();
  }
  worker->flushing = false;
}

asio::awaitable<void> Supervisor::follow_channel(Handle worker) {
  while (worker->end) {
    const bool readable = co_await worker->end->watch.readable();
    if (!readable || !worker->end) break;
    Channel::Batch batch = worker->end->channel.receive();
    for (const std::string& fault : batch.faults) log::warning("{}: {}", worker->name(), fault);
    for (Frame& frame : batch.frames) on_message(worker, std::move(frame));
    if (!batch.closed) continue;
    worker->end.reset();
    log::debug("{}: the channel has ended", worker->name());
  }
}

void Supervisor::on_message(const Handle& worker, Frame frame) {
  const protocol::Message message = protocol::decode(std::move(frame.value));
  const bool is_answer = message.kind == Kind::handle_ack || message.kind == Kind::handle_nack;
  if (!protocol::is_legal(message.kind, protocol::Sender::worker, worker->phase) ||
      (is_answer && worker->unacknowledged == 0)) {
    log::warning("{}: a {} message, which is out of place here, is ignored", worker->name(),
                 protocol::name(message.kind));
    // A Node process that sends a handle holds every later message back until it is confirmed.
    if (message.kind == Kind::handle) send(worker, protocol::handle_ack_line());
    return;
  }
  switch (message.kind) {
    case Kind::handle_ack:
      --worker->unacknowledged;
      return announce_if_ready(worker);
    case Kind::handle_nack:
      log::error("{} could not receive the listener, and is stopped (is its limit of open files too low?)",
                 worker->name());
      return worker->child.signal(SIGTERM);
    case Kind::ready:
      worker->said_ready = true;
      return announce_if_ready(worker);
    case Kind::plain:
      return log::info("{} says {}", worker->name(), boost::json::serialize(message.value));
    case Kind::handle:
    case Kind::internal:
      return;
  }
}

/// Our own worker says so when it accepts; a foreign one is taken to be ready once it has taken the listeners.
void Supervisor::announce_if_ready(const Handle& worker) {
  const bool is_embedded = options_.command.empty();
  if (worker->phase != Phase::starting || worker->unacknowledged > 0 || (is_embedded && !worker->said_ready)) return;
  worker->phase = Phase::serving;
  log::info("{} ready", worker->name());
}

asio::awaitable<void> Supervisor::follow_process(Handle worker) {
  const bool ended = co_await worker->process_watch.readable();
  if (ended) on_ended(worker);
}

void Supervisor::on_ended(const Handle& worker) {
  // What it started and left behind would hold the listener, and answer nobody's signals.
  worker->child.kill_group();
  const Ending ending = worker->child.reap();
  const bool was_asked = stopping_ && (ending.is_clean() || (ending.by_signal && ending.number == SIGTERM));
  if (was_asked)
    log::info("{} has finished", worker->name());
  else
    log::warning("{} {}", worker->name(), describe(ending));
  worker->end.reset();
  workers_.erase(worker->number);
  if (!workers_.empty()) return;
  drain_timer_.cancel();
  on_all_ended_();
}

void Supervisor::stop() {
  if (std::exchange(stopping_, true)) return;
  for (const auto& [number, worker] : workers_) {
    worker->phase = Phase::draining;
    worker->child.signal(SIGTERM);
  }
  start_task(executor_, kill_late());
}

asio::awaitable<void> Supervisor::kill_late() {
  drain_timer_.expires_after(options_.drain_timeout);
  boost::system::error_code cancelled;
  co_await drain_timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  if (cancelled || workers_.empty()) co_return;
  log::warning("{} worker(s) did not finish within {} ms and are killed", workers_.size(),
               options_.drain_timeout.count());
  kill();
}

void Supervisor::kill() {
  stopping_ = true;
  for (const auto& [number, worker] : workers_) worker->child.kill_group();
}

}  // namespace baton
