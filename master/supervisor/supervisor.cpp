// Master. The loop.
#include "master/supervisor/supervisor.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/supervisor/master_name.hpp"
#include "master/system/open_files.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;

Supervisor::Supervisor(asio::any_io_executor executor, std::function<Options()> read_options,
                       std::function<void()> on_all_ended)
    : executor_(std::move(executor)),
      on_all_ended_(std::move(on_all_ended)),
      rollout_({pool_, generations_, listeners_, events_},
               {std::move(read_options),
                [this](Options options, unsigned target) { return next_generation(std::move(options), target); },
                [this](const Options& options, unsigned target) { lending_.check_target(options, target); },
                [this] { advance(); }}),
      timer_(executor_) {}

void Supervisor::bind(Options options) {
  const unsigned workers = options.workers;
  // A command's worker, and one that is handed connections, takes several descriptors of this process.
  if (!options.command.empty() || hands_connections(options.policy)) processes_.set_open_files(raise_open_files());
  handing_.start(options.policy);
  generations_.begin(make_generation(executor_, 1, std::move(options), nullptr, alarm_, workers, false));
  const Generation& first = *generations_.current();
  status_.set_name(master_name(first.options.name, first.listeners.empty() ? "" : first.listeners.front()->address(),
                               first.options.command, ::getpid()));
  messages_.open_state(first.options.state_file);
  pool_.set_target(workers);
  pool_.set_surge(first.options.surge);
}

Generations::Pointer Supervisor::next_generation(Options options, unsigned target) {
  return make_generation(executor_, generations_.next_number(), std::move(options), generations_.current().get(),
                         alarm_, target, pool_.breaker_is_open());
}

void Supervisor::start() {
  starting_ = true;
  try {
    advance();
  } catch (const std::system_error& error) {
    throw StartError(
        fmt::format("can't start {} workers: {}{}", pool_.target(), error.what(), way_out(error.code().value())));
  }
  starting_ = false;
  start_task(executor_, follow_deadlines());
  start_task(executor_, health_.follow([this](TimePoint now) { look_around(now); }));
  start_task(executor_, repair_.follow_alarm([this] { advance(); }));
  start_task(executor_, messages_.follow_time());
}

/// To be called after whatever has changed.
void Supervisor::advance() {
  while (take_steps()) {
  }
  lending_.arrange();
  if (!pool_.is_stopping()) rollout_.settle();
  hand_out_connections();
  if (pool_.has_ended()) return end();
  if (const auto wake = pool_.next_wake(std::chrono::steady_clock::now())) timer_.expires_at(*wake);
}

bool Supervisor::take_steps() {
  const Pool::Steps steps = pool_.plan(std::chrono::steady_clock::now());
  if (steps.open_breaker) listeners_.refuse_clients();
  for (const int id : steps.retire) drain_.ask(id);
  repair_.note_who_is_left();
  if (repair_.waits_for_name()) return !steps.retire.empty();
  // A start that fails can change what is wanted: the rest of the plan is not that of a moment ago.
  for (const unsigned slot : steps.start)
    if (!starter_.start(slot, starting_)) break;
  return !steps.start.empty() || !steps.retire.empty();
}

void Supervisor::hand_out_connections() {
  for (const Generations::Pointer& each : {generations_.current(), generations_.previous()})
    if (each) handing_.open(each->listeners);
  handing_.open(asked_for_.groups());
}

/// The last worker has gone, and no other is to come.
void Supervisor::end() {
  timer_.cancel();
  health_.end();
  messages_.end();
  repair_.end();
  processes_.end_orphans();
  finish_output(generations_, processes_);
  rollout_.end_stop();
  on_all_ended_();
}

/// Each change moves the expiry, which ends the wait: only a wait that is not cancelled has come to its time.
asio::awaitable<void> Supervisor::follow_deadlines() {
  while (!pool_.has_ended()) {
    timer_.expires_at(pool_.next_wake(std::chrono::steady_clock::now()).value_or(TimePoint::max()));
    boost::system::error_code cancelled;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled || pool_.has_ended()) continue;
    losses_.expire(std::chrono::steady_clock::now());
    advance();
  }
}

void Supervisor::look_around(TimePoint now) {
  if (!pool_.is_stopping()) {
    repair_.inspect_all();
    cluster_.give_up_listeners(now, pool_.is_complete() && !repair_.waits_for_name());
  }
  advance();
}

void Supervisor::on_ready(WorkerHandle& worker) {
  if (!starter_.take_into_service(worker)) return;
  repair_.note_newcomer(worker.id);
  advance();
}

void Supervisor::on_exit(WorkerHandle& worker, const Ending& ending) {
  const bool from_outside = ending.by_signal && ending.number == SIGKILL;
  const Loss loss = pool_.ended(worker.id, std::chrono::steady_clock::now(), from_outside);
  handing_.remove(worker);
  asked_for_.forget(worker.id);
  messages_.forget(worker.id);
  losses_.on_exit(worker, ending, loss);
  const Member& member = loss.member;
  if (!member.was_ready) repair_.note_newcomer(worker.id);
  if (member.was_ready && !member.was_retired) processes_.recover_wake_ups();
  advance();
}

void Supervisor::on_wants_to_retire(WorkerHandle& worker, std::string_view why) {
  recycling_.replace_on_request(worker, why);
  advance();
}

void Supervisor::on_hung(WorkerHandle& worker, std::string_view how) {
  losses_.on_hung(worker, how);
  advance();
}

void Supervisor::on_writable(WorkerHandle& worker) {
  handing_.on_writable(worker);
  messages_.on_writable(worker);
}

void Supervisor::on_child_signal() {
  if (ProcessTable::has_stopped_child()) processes_.recover_wake_ups();
  processes_.sweep_orphans();
}

}  // namespace baton
