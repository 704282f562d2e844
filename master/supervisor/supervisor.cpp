// Master. What is, against what is wanted: the steps of the Pool's plan, and what their outcome means.
#include "master/supervisor/supervisor.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cctype>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/system/open_files.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;

namespace {

TimePoint now() {
  return std::chrono::steady_clock::now();
}

std::string in_words(Milliseconds delay) {
  if (delay.count() == 0) return "a new one starts";
  return fmt::format("a new one starts in {:.1f} s", static_cast<double>(delay.count()) / 1000);
}

/// " on 127.0.0.1:3001", where each worker has its own.
std::string own_addresses(const WorkerHandle& worker) {
  std::string text;
  for (const auto& group : worker.generation->listeners)
    if (group->policy().has_own_addresses()) text += (text.empty() ? " on " : ", ") + group->address_of(worker.number);
  return text;
}

bool is_plain(std::string_view word) {
  constexpr std::size_t longest = 48;
  return !word.empty() && word.size() <= longest && word.front() != '-' &&
         std::all_of(word.begin(), word.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || std::strchr("._-", c) != nullptr; });
}

/// "app.js-4711" for `node app.js`: what a master without an address of its own is called.
std::string name_of_program(const std::vector<std::string>& command) {
  std::string name = std::filesystem::path(command.front()).filename();
  for (auto each = command.begin() + 1; each != command.end(); ++each) {
    if (each->starts_with('-')) continue;
    if (std::string script = std::filesystem::path(*each).filename(); is_plain(script)) name = std::move(script);
    break;
  }
  return fmt::format("{}-{}", name, ::getpid());
}

std::string name_of(const Options& options, const std::vector<std::shared_ptr<ListenerGroup>>& listeners) {
  if (!options.name.empty()) return options.name;
  return listeners.empty() ? name_of_program(options.command) : listeners.front()->address();
}

TimeLimits limits_of(const Options& options) {
  return {options.ready_timeout, options.drain_timeout};
}

}  // namespace

Supervisor::Supervisor(asio::any_io_executor executor, std::function<Options()> read_options,
                       std::function<void()> on_all_ended)
    : executor_(std::move(executor)),
      read_options_(std::move(read_options)),
      on_all_ended_(std::move(on_all_ended)),
      pool_([this] { return std::uniform_real_distribution<>(0, 1)(random_); }),
      timer_(executor_),
      housekeeping_(executor_),
      bus_timer_(executor_, TimePoint::max()) {}

void Supervisor::bind(Options options) {
  started_ = log::timestamp_now();
  const unsigned workers = options.workers;
  // A command's worker takes several descriptors of this process.
  if (!options.command.empty()) processes_.set_open_files(raise_open_files());
  prepare_dispatch(options.policy);
  generation_ = make_generation(executor_, 1, std::move(options), nullptr, alarm_, workers, false);
  const Options& taken = generation_->options;
  name_ = name_of(taken, generation_->listeners);
  open_state(taken.state_file);
  pool_.set_target(taken.workers);
  pool_.set_surge(taken.surge);
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
  start_task(executor_, follow_timer());
  start_task(executor_, keep_house());
  start_task(executor_, follow_alarm());
  start_task(executor_, follow_bus());
  hurry_bus();
}

/// To be called after whatever has changed.
void Supervisor::advance() {
  while (take_steps()) {
  }
  arrange_listeners();
  if (!stopping_) settle();
  open_gates();
  if (stopping_ && pool_.members().empty()) {
    timer_.cancel();
    housekeeping_.cancel();
    bus_timer_.cancel();
    alarm_watch_.cancel();
    processes_.end_orphans();
    end_output();
    for (const Done& done : std::exchange(stop_done_, {})) done({true, "stopped"});
    return on_all_ended_();
  }
  if (const auto wake = pool_.next_wake(now())) timer_.expires_at(*wake);
}

bool Supervisor::take_steps() {
  const Pool::Steps steps = pool_.plan(now());
  if (steps.open_breaker) open_breaker();
  for (const int id : steps.retire) retire(id);
  waits_for_name_ = waits_for_name_ && !processes_.all().empty();
  if (waits_for_name_) return !steps.retire.empty();
  // A start that fails can change what is wanted: the rest of the plan is not that of a moment ago.
  for (const unsigned slot : steps.start)
    if (!start_member(slot)) break;
  return !steps.start.empty() || !steps.retire.empty();
}

bool Supervisor::start_member(unsigned slot) {
  try {
    // While the breaker is open, clients are refused until it is ready. But what a program has from the start it takes
    // for a listener: one that does not listen yet wakes it at once, and fails its accept.
    for (const auto& group : generation_->listeners) {
      group->prepare(slot, generation_->options.backlog, pool_.breaker_is_open());
      if (inherits_listeners(generation_->options.dialect)) group->confirm(slot, generation_->options.backlog);
    }
    prepare_asked(slot);
    const int id = ++last_id_;
    WorkerHandle& worker = processes_.spawn(id, slot, generation_);
    worker.started = worker.last_sign = now();
    pool_.started(id, slot, worker.started, limits_of(generation_->options));
    log::debug("{} spawned", worker.name());
    tell("worker_started", worker, worker.name() + " started");
    return true;
  } catch (const std::runtime_error& error) {  // StartError, std::system_error
    if (starting_) throw;
    const auto* system = dynamic_cast<const std::system_error*>(&error);
    const std::string why =
        fmt::format("worker {}: {}{}", slot, error.what(), system == nullptr ? "" : way_out(system->code().value()));
    const Loss loss = pool_.not_started(slot, now());
    log::error("{}; {}", why, loss.ends_reload ? "the reload is given up" : in_words(loss.delay));
    after_loss(loss, why);
    return false;
  }
}

void Supervisor::retire(int id) {
  const Action action = pool_.apply(id, Event::retire, now());
  WorkerHandle& worker = processes_.at(id);
  const ProcessSettings& settings = worker.generation->options.process;
  const bool is_replaced = worker.number <= pool_.target();
  worker.stop_signal = is_replaced ? settings.asks_to_give_way() : settings.asks_to_stop();
  end_dispatch(id, action);
  log::debug("{} is to finish", worker.name());
  tell("worker_draining", worker, worker.name() + " finishes what it is answering");
}

void Supervisor::on_ready(WorkerHandle& worker) {
  const bool breaker_was_open = pool_.breaker_is_open();
  if (pool_.apply(worker.id, Event::got_ready, now()) != Action::announce) return;
  newcomers_.push_back(worker.id);
  worker.last_sign = now();
  const Options& options = worker.generation->options;
  if (options.max_lifetime.count() > 0) {
    const double part = std::uniform_real_distribution<>(0.9, 1.0)(random_);
    worker.retires_at = now() + std::chrono::duration_cast<Milliseconds>(options.max_lifetime * part);
  }
  begin_dispatch(worker);
  const std::string message = worker.name() + " ready" + own_addresses(worker);
  log::info("{}", message);
  tell("worker_ready", worker, message);
  if (breaker_was_open) close_breaker();
  confirm_listeners(worker);
  tell_progress();
  advance();
}

void Supervisor::on_exit(WorkerHandle& worker, const Ending& ending) {
  const State state = pool_.members().at(worker.id).life.state();
  const bool from_outside = ending.by_signal && ending.number == SIGKILL;
  const Loss loss = pool_.ended(worker.id, now(), from_outside);
  if (loss.member.was_ready && !loss.member.was_retired) processes_.recover_wake_ups();
  if (!loss.member.was_ready) newcomers_.push_back(worker.id);
  end_dispatch(worker);
  cluster_listeners_.forget(worker.id);
  bus_.forget(worker.id);
  const bool was_asked =
      ending.is_clean() || (ending.by_signal && (ending.number == SIGTERM || ending.number == worker.stop_signal));
  const std::string what = fmt::format("{} {}", worker.name(), baton::describe(ending));
  if (loss.member.was_retired && was_asked) {
    log::info("{} has finished", worker.name());
  } else if (!loss.is_failure || stopping_ || worker.number > pool_.target()) {
    log::write(state == State::killed ? log::Level::info : log::Level::warning, what);
  } else {
    ++restarts_;
    log::warning("{}; {}", what, loss.ends_reload ? "the reload is given up" : in_words(loss.delay));
  }
  tell("worker_ended", worker, what);
  after_loss(loss, loss.member.was_ready ? what : what + " before it was ready");
  advance();
}

/// `what` is a clause for those who wait for the outcome.
void Supervisor::after_loss(const Loss& loss, const std::string& what) {
  if (!loss.is_failure) return;
  last_loss_[loss.member.slot] = what;
  if (loss.delay.count() > 0)
    tell("worker_backing_off", fmt::format("worker {}: {}", loss.member.slot, in_words(loss.delay)),
         {{"worker", loss.member.slot}, {"retry_in_ms", loss.delay.count()}});
  if (loss.ends_reload) {
    roll_back(what);
  } else if (scaling_ && !loss.member.was_ready) {
    end_scale({false, fmt::format("{}; {} of {} workers are ready, and it is tried again", what, pool_.ready(),
                                  pool_.target())});
  }
  // What a trial was handed may listen by now.
  if (pool_.breaker_is_open() && !pool_.has_staying())
    for (const auto& group : listeners()) group->empty();
}

void Supervisor::open_breaker() {
  for (const auto& group : listeners()) group->empty();
  const std::string message = "every worker fails: clients are refused until one gets ready";
  log::error("{}", message);
  tell("breaker_opened", message);
}

void Supervisor::close_breaker() {
  for (const auto& group : listeners()) {
    try {
      group->reopen(generation_->options.backlog);
      const std::string message = fmt::format("a worker is ready: listening on {} again", group->address());
      log::warning("{}", message);
      tell("breaker_closed", message);
    } catch (const std::runtime_error& error) {  // StartError, std::system_error; the next look around tries again
      log::error("can't listen on {} again: {}", group->address(), error.what());
    }
  }
}

/// Those whose time has run out.
void Supervisor::expire(TimePoint at) {
  std::vector<int> late;
  for (const auto& [id, member] : pool_.members())
    if (const auto deadline = member.life.deadline(); deadline && *deadline <= at) late.push_back(id);
  for (const int id : late) {
    const State state = pool_.members().at(id).life.state();
    const Pool::Failed failed = pool_.fail(id, Event::timeout, at);
    const WorkerHandle& worker = processes_.at(id);
    const Options& options = worker.generation->options;
    processes_.carry_out(id, failed.action);
    if (state == State::starting) {
      const bool is_mute =
          worker.cluster && options.ready == Readiness::handle && cluster_listeners_.holdings(id).empty();
      const std::string what =
          fmt::format("{} was not ready within {} ms{}", worker.name(), options.ready_timeout.count(),
                      is_mute ? " (it listens on nothing; where it need not: --ready message, or notify)" : "");
      const bool is_replaced = failed.loss && !failed.loss->ends_reload;
      log::warning("{} and is stopped{}", what, is_replaced ? "; " + in_words(failed.loss->delay) : "");
      tell("worker_late", worker, what);
      if (failed.loss) after_loss(*failed.loss, what);
    } else if (state == State::draining) {
      log::warning("{} did not finish within {} ms and is killed", worker.name(), options.drain_timeout.count());
    }
  }
}

asio::awaitable<void> Supervisor::follow_timer() {
  // Every change moves the expiry, which ends the wait: only a wait that is not cancelled has come to its time.
  while (!stopping_ || !pool_.members().empty()) {
    if (const auto wake = pool_.next_wake(now()))
      timer_.expires_at(*wake);
    else
      timer_.expires_at(TimePoint::max());
    boost::system::error_code cancelled;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled) continue;
    expire(now());
    advance();
  }
}

void Supervisor::on_child_signal() {
  if (ProcessTable::has_stopped_child()) processes_.recover_wake_ups();
  processes_.sweep_orphans();
}

void Supervisor::kill() {
  processes_.kill_all();
}

void Supervisor::tell(std::string_view event, const std::string& message, boost::json::object fields) {
  fields["message"] = message;
  events_.publish(event, fields);
}

void Supervisor::tell(std::string_view event, const WorkerHandle& worker, const std::string& message) {
  tell(event, message,
       {{"worker", worker.number}, {"pid", worker.child.pid()}, {"generation", worker.generation->number}});
}

}  // namespace baton
