// Master. What follows from each loss.
#include "master/supervisor/worker_losses.hpp"

#include <fmt/format.h>

#include <csignal>
#include <vector>

#include "common/log.hpp"
#include "master/process/worker_event.hpp"

namespace baton {
namespace {

std::string in_words(Milliseconds delay) {
  if (delay.count() == 0) return "a new one starts";
  return fmt::format("a new one starts in {:.1f} s", static_cast<double>(delay.count()) / 1000);
}

std::string consequence(const Loss& loss) {
  return loss.ends_reload ? "the reload is given up" : in_words(loss.delay);
}

}  // namespace

void WorkerLosses::on_exit(const WorkerHandle& worker, const Ending& ending, const Loss& loss) {
  tell_exit(worker, ending, loss);
  const std::string what = fmt::format("{} {}", worker.name(), describe(ending));
  tell(parts_.events, "worker_ended", worker, what);
  follow_up(loss, loss.member.was_ready ? what : what + " before it was ready");
}

void WorkerLosses::tell_exit(const WorkerHandle& worker, const Ending& ending, const Loss& loss) {
  const bool was_asked =
      ending.is_clean() || (ending.by_signal && (ending.number == SIGTERM || ending.number == worker.stop_signal));
  if (loss.member.was_retired && was_asked) return log::info("{} has finished", worker.name());
  const std::string what = fmt::format("{} {}", worker.name(), describe(ending));
  if (!loss.is_failure || parts_.pool.is_stopping() || worker.number > parts_.pool.target())
    return log::write(loss.member.life.state() == State::killed ? log::Level::info : log::Level::warning, what);
  ++restarts_;
  log::warning("{}; {}", what, consequence(loss));
}

void WorkerLosses::on_hung(const WorkerHandle& worker, std::string_view how) {
  const Pool::Failed failed = parts_.pool.fail(worker.id, Event::hung, std::chrono::steady_clock::now());
  if (failed.action == Action::none) return;
  parts_.drain.carry_out(worker.id, failed.action);
  const std::string what = fmt::format("{} {}", worker.name(), how);
  log::warning("{} and is killed", what);
  tell(parts_.events, "worker_hung", worker, what);
  if (!failed.loss) return;
  ++restarts_;
  follow_up(*failed.loss, what);
}

void WorkerLosses::on_not_started(unsigned slot, const std::string& why) {
  const Loss loss = parts_.pool.not_started(slot, std::chrono::steady_clock::now());
  log::error("{}; {}", why, consequence(loss));
  follow_up(loss, why);
}

void WorkerLosses::expire(TimePoint now) {
  std::vector<int> late;
  for (const auto& [id, member] : parts_.pool.members())
    if (const auto deadline = member.life.deadline(); deadline && *deadline <= now) late.push_back(id);
  for (const int id : late) {
    const State before = parts_.pool.state(id);
    const Pool::Failed failed = parts_.pool.fail(id, Event::timeout, now);
    const WorkerHandle& worker = parts_.processes.at(id);
    parts_.drain.signal(id, failed.action);
    if (before == State::starting)
      on_late_start(worker, failed);
    else if (before == State::draining)
      log::warning("{} did not finish within {} ms and is killed", worker.name(),
                   worker.generation->options.drain_timeout.count());
  }
}

void WorkerLosses::on_late_start(const WorkerHandle& worker, const Pool::Failed& failed) {
  const Options& options = worker.generation->options;
  const bool listens_on_nothing =
      worker.cluster && options.ready == Readiness::handle && parts_.asked_for.holdings(worker.id).empty();
  const std::string what =
      fmt::format("{} was not ready within {} ms{}", worker.name(), options.ready_timeout.count(),
                  listens_on_nothing ? " (it listens on nothing; where it need not: --ready message, or notify)" : "");
  const bool is_replaced = failed.loss && !failed.loss->ends_reload;
  log::warning("{} and is stopped{}", what, is_replaced ? "; " + in_words(failed.loss->delay) : "");
  tell(parts_.events, "worker_late", worker, what);
  if (failed.loss) follow_up(*failed.loss, what);
}

/// `what` is a clause for those who wait for the outcome.
void WorkerLosses::follow_up(const Loss& loss, const std::string& what) {
  if (!loss.is_failure) return;
  last_[loss.member.slot] = what;
  if (loss.delay.count() > 0)
    parts_.events.tell("worker_backing_off", fmt::format("worker {}: {}", loss.member.slot, in_words(loss.delay)),
                       {{"worker", loss.member.slot}, {"retry_in_ms", loss.delay.count()}});
  parts_.rollout.on_loss(loss, what);
  // What a trial was handed may listen by now.
  if (parts_.pool.breaker_is_open() && !parts_.pool.has_staying()) parts_.listeners.empty();
}

std::string WorkerLosses::last_of(unsigned slot) const {
  const auto found = last_.find(slot);
  return found == last_.end() ? "" : found->second;
}

}  // namespace baton
