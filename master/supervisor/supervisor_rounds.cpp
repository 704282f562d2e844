// Master. The supervisor's rounds: what nobody tells, and only looking shows. Workers that hang, workers that are worn
// out, listeners that somebody has tampered with.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/supervisor/supervisor.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

Milliseconds interval(const Options& options) {
  constexpr Milliseconds longest = 1s;
  constexpr Milliseconds shortest = 20ms;
  if (options.hang_timeout.count() == 0) return longest;
  return std::clamp(options.hang_timeout / 4, shortest, longest);
}

}  // namespace

asio::awaitable<void> Supervisor::keep_house() {
  while (!stopping_ || !pool_.members().empty()) {
    const Milliseconds pause = interval(generation_->options);
    const TimePoint began = std::chrono::steady_clock::now();
    housekeeping_.expires_at(began + pause);
    boost::system::error_code cancelled;
    co_await housekeeping_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled) break;
    const TimePoint at = std::chrono::steady_clock::now();
    // A master that was stopped, or starved, has not read yet what its workers said meanwhile.
    const bool was_away = at - began > 2 * pause;
    if (!was_away) find_hung(at);
    find_worn_out(at);
    find_mute();
    if (!stopping_) inspect_listeners();
    if (!stopping_) give_up_listeners(at);
    advance();
  }
}

void Supervisor::find_hung(TimePoint at) {
  std::vector<int> silent;
  for (const auto& [id, worker] : processes_.all()) {
    const Milliseconds patience = worker->generation->options.hang_timeout;
    const State state = pool_.members().at(id).life.state();
    const bool is_watched = patience.count() > 0 && (state == State::ready || state == State::draining);
    if (is_watched && processes_.last_sign(*worker) + patience < at) silent.push_back(id);
  }
  for (const int id : silent) {
    WorkerHandle& worker = processes_.at(id);
    declare_hung(worker,
                 fmt::format("has not been heard of for {} ms", worker.generation->options.hang_timeout.count()));
  }
}

void Supervisor::on_hung(WorkerHandle& worker, std::string_view how) {
  declare_hung(worker, how);
  advance();
}

void Supervisor::declare_hung(WorkerHandle& worker, std::string_view how) {
  const Pool::Failed failed = pool_.fail(worker.id, Event::hung, std::chrono::steady_clock::now());
  if (failed.action == Action::none) return;
  end_dispatch(worker.id, failed.action);
  const std::string what = fmt::format("{} {}", worker.name(), how);
  log::warning("{} and is killed", what);
  tell("worker_hung", worker, what);
  if (failed.loss) {
    ++restarts_;
    after_loss(*failed.loss, what);
  }
}

void Supervisor::find_worn_out(TimePoint at) {
  for (const auto& [id, worker] : processes_.all()) {
    const Options& options = worker->generation->options;
    if (worker->retires_at <= at)
      condemn(*worker, fmt::format("has lived for {} s",
                                   std::chrono::duration_cast<std::chrono::seconds>(at - worker->started).count()));
    if (options.max_memory == 0) continue;
    if (const std::uint64_t held = worker->child.resident_memory(); held >= options.max_memory)
      condemn(*worker, fmt::format("holds {} MiB of memory", held >> 20));
  }
}

/// A command that asks for it soon does so again and again: it counts like a death.
void Supervisor::on_wants_to_retire(WorkerHandle& worker, std::string_view why) {
  const TimePoint at = std::chrono::steady_clock::now();
  const Member& member = pool_.members().at(worker.id);
  const bool is_new = !worker.generation->options.command.empty() && !member.is_condemned &&
                      member.life.state() == State::ready && at - member.ready_since < least_service;
  condemn(worker, why.empty() ? "asks for it" : why, is_new);
  advance();
}

/// A successor is started, and takes over before it goes.
void Supervisor::condemn(WorkerHandle& worker, std::string_view why, bool is_fault) {
  const Member& member = pool_.members().at(worker.id);
  if (member.is_condemned || !is_staying(member.life.state()) || stopping_) return;
  if (is_fault)
    pool_.condemn_for_fault(worker.id, std::chrono::steady_clock::now());
  else
    pool_.condemn(worker.id);
  const std::string message = fmt::format("{} {} and is replaced", worker.name(), why);
  log::info("{}", message);
  tell("worker_recycled", worker, message);
}

asio::awaitable<void> Supervisor::follow_alarm() {
  while (!stopping_) {
    const bool rung = co_await alarm_watch_.readable();
    if (!rung || stopping_) break;
    alarm_.silence();
    inspect_listeners();
    advance();
    // Whoever shuts it down again and again must not have all of our time.
    asio::steady_timer pause(executor_, 10ms);
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

void Supervisor::inspect_listeners() {
  for (const auto& group : listeners()) {
    try {
      inspect(*group);
    } catch (const std::runtime_error& error) {  // StartError, std::system_error
      log::error("the listener {} can't be mended: {}; it is tried again", group->address(), error.what());
    }
  }
  newcomers_.clear();
}

void Supervisor::inspect(ListenerGroup& group) {
  for (const auto& [place, vault] : group.vaults()) {
    const bool is_missed = vault->is_empty() && group.policy().is_common();
    if (is_missed && !pool_.breaker_is_open() && !waits_for_name_) {  // could not be had back before
      vault->reserve();
      vault->listen(generation_->options.backlog);
      for (const auto& [id, worker] : processes_.all()) condemn(*worker, "lacks a listener");
    }
    const Vault::Finding finding = vault->inspect();
    if (finding.damage != Vault::Damage::none) mend(*vault, finding);
  }
}

void Supervisor::mend(Vault& vault, const Vault::Finding& finding) {
  const bool was_shut_down = finding.damage == Vault::Damage::shut_down;
  const bool listens = vault.listen(generation_->options.backlog);
  // Programs call listen(2) once more on what they are given, each with a number of its own: Node with 511. That is no
  // fault, and mended in silence.
  constexpr int least_customary = 5;
  // Whose listener is taken by the program after it is acknowledged, as by Node's, is ready a moment before that.
  constexpr auto beginning = 3s;
  const TimePoint at = std::chrono::steady_clock::now();
  const auto begins = [&](const auto& each) {
    const Member& member = each.second;
    return member.life.state() == State::starting || (member.was_ready && at - member.ready_since < beginning);
  };
  const bool somebody_begins =
      !newcomers_.empty() || std::any_of(pool_.members().begin(), pool_.members().end(), begins);
  // A program of the dialect node-cluster may call it at any time, with whatever its own listen() says.
  const bool is_asked_for = asks_for_listeners(generation_->options.dialect);
  const bool is_customary = !was_shut_down && (is_asked_for || (finding.backlog >= least_customary && somebody_begins));
  if (is_customary) return log::debug("the listener {} has its backlog back", vault.address());

  const std::vector<WorkerHandle*> holders = holders_of(vault);
  const WorkerHandle* culprit = find_culprit(holders, finding);
  const std::string message =
      fmt::format("the listener {} {} by {}; {}", vault.address(),
                  was_shut_down ? "was shut down" : fmt::format("had its backlog set to {}", finding.backlog),
                  culprit == nullptr ? "a worker that the kernel does not name, so all are replaced" : culprit->name(),
                  was_shut_down ? "listening again" : "it has it back");
  if (at - last_repair_told_ >= 1s) {
    log::warning("{}", message);
    tell("listener_repaired", message);
    last_repair_told_ = at;
  }
  for (WorkerHandle* each : holders)
    if (culprit == nullptr || each == culprit) condemn_for_fault(*each);
  const bool is_unix = std::holds_alternative<UnixAddress>(vault.wanted().address);
  if (!listens && is_unix) renew(vault);
}

/// A Unix socket that was shut down stays so. Everybody needs a new one, and an abstract name is free for it only when
/// nobody holds the old one any more: then they go at once, since nobody can reach them anyway.
void Supervisor::renew(Vault& vault) {
  vault.empty();
  try {
    vault.reserve();
    vault.listen(generation_->options.backlog);
    for (const auto& [id, worker] : processes_.all()) condemn(*worker, "holds a listener that was shut down");
  } catch (const StartError& error) {
    log::warning("{}; it is free when every worker has gone", error.what());
    waits_for_name_ = true;
    for (const auto& [id, member] : pool_.members())
      if (is_staying(member.life.state())) retire(id);
  }
}

void Supervisor::condemn_for_fault(WorkerHandle& worker) {
  const Member& member = pool_.members().at(worker.id);
  if (member.is_condemned || !is_staying(member.life.state()) || stopping_) return;
  pool_.condemn_for_fault(worker.id, std::chrono::steady_clock::now());
  const std::string message = fmt::format("{} may have tampered with a listener and is replaced", worker.name());
  log::warning("{}", message);
  tell("worker_recycled", worker, message);
}

std::vector<WorkerHandle*> Supervisor::holders_of(const Vault& vault) const {
  std::vector<WorkerHandle*> found;
  for (const auto& [id, worker] : processes_.all())
    if (holds(*worker, vault)) found.push_back(worker.get());
  return found;
}

/// Whom the kernel names; else whoever alone can have done it since the last look. Null where that leaves several.
const WorkerHandle* Supervisor::find_culprit(const std::vector<WorkerHandle*>& holders,
                                             const Vault::Finding& finding) const {
  const pid_t group = finding.culprit == 0 ? 0 : ::getpgid(finding.culprit);
  for (const WorkerHandle* each : holders)
    if (group != 0 && each->child.pid() == group) return each;
  if (holders.size() == 1) return holders.front();
  std::vector<const WorkerHandle*> new_holders;
  for (const WorkerHandle* each : holders)
    if (std::find(newcomers_.begin(), newcomers_.end(), each->id) != newcomers_.end()) new_holders.push_back(each);
  return new_holders.size() == 1 ? new_holders.front() : nullptr;
}

}  // namespace baton
