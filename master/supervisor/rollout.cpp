// Master. From one configuration, or number of workers, to another.
#include "master/supervisor/rollout.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/settings/policy_compatibility.hpp"
#include "master/settings/worker_count.hpp"

namespace baton {
namespace {

void answer(std::vector<Done>& waiting, const Outcome& outcome) {
  for (const Done& done : std::exchange(waiting, {})) done(outcome);
}

std::string workers(unsigned count) {
  return fmt::format("{} worker{}", count, count == 1 ? "" : "s");
}

/// A reload can't change it: what it brings is judged by the one in force.
void keep_policy(Options& options, Policy policy, unsigned target) {
  const bool is_changed = std::exchange(options.policy, policy) != policy;
  try {
    check_policy_compatibility(options, target);
  } catch (const UsageError& error) {
    if (!is_changed) throw;
    throw UsageError(fmt::format("{} (the policy stays {} until baton is started again)", error.what(), name(policy)));
  }
}

/// Settings that belong to the master itself, and that a reload can't change.
std::string fixed_change(const Options& old, const Options& now) {
  if (old.name != now.name) return "name";
  if (old.control != now.control) return "control";
  if (old.pid_file != now.pid_file) return "pid-file";
  if (old.state_file != now.state_file) return "state-file";
  if (old.policy != now.policy) return "policy";
  return {};
}

}  // namespace

void Rollout::scale(std::string_view amount, Done done) {
  if (parts_.pool.is_stopping()) return done({false, "baton is stopping"});
  const unsigned target = parse_worker_count(amount, parts_.pool.target());
  try {
    check_policy_compatibility(parts_.generations.options(), target);
    steps_.check_target(parts_.generations.options(), target);
  } catch (const UsageError& error) {
    log::warning("not scaled to {}: {}", workers(target), error.what());
    return done({false, error.what()});
  }
  set_target(target, std::move(done));
}

void Rollout::set_target(unsigned target, Done done) {
  const std::string message = fmt::format("scaling from {} to {}", workers(parts_.pool.target()), target);
  log::info("{}", message);
  answer(scale_done_, {false, fmt::format("another command has set the number of workers to {}", target)});
  scaling_ = true;
  scale_done_.push_back(std::move(done));
  old_target_.reset();
  parts_.pool.set_target(target);
  if (target == 0 && parts_.pool.breaker_is_open()) {  // nobody is wanted who could fail: clients wait
    parts_.pool.close_breaker();
    parts_.listeners.accept_clients();
  }
  parts_.events.tell("scale_began", message, {{"of", target}});
  steps_.advance();
}

void Rollout::end_scale(const Outcome& outcome) {
  scaling_ = false;
  log::write(outcome.ok ? log::Level::info : log::Level::error,
             (outcome.ok ? "scaled: " : "scaling: ") + outcome.message);
  parts_.events.tell("scale_done", outcome.message, {{"ok", outcome.ok}});
  answer(scale_done_, outcome);
}

void Rollout::reload(Done done) {
  if (parts_.pool.is_stopping()) return done({false, "baton is stopping"});
  if (parts_.pool.is_reloading()) {
    next_reload_done_.push_back(std::move(done));
    reload_again_ = true;
    return log::info("another reload follows the one under way");
  }
  reload_done_.push_back(std::move(done));
  begin_reload();
}

void Rollout::begin_reload() {
  try {
    take_over(steps_.read_options());
  } catch (const std::runtime_error& error) {  // UsageError, StartError, std::system_error
    const std::string message = fmt::format("reload refused: {}; the old configuration stays", error.what());
    log::error("{}", message);
    parts_.events.tell("reload_refused", message);
    return answer(reload_done_, {false, message});
  }
  steps_.advance();
}

void Rollout::take_over(Options options) {
  for (const std::string& warning : options.warnings) log::warning("{}", warning);
  const Options& old = parts_.generations.options();
  const std::string fixed = fixed_change(old, options);
  // Unless the configured number has changed, it stays as it was scaled meanwhile.
  const bool is_rescaled = options.workers != old.workers;
  const unsigned target = is_rescaled ? options.workers : parts_.pool.target();
  keep_policy(options, old.policy, target);
  steps_.check_target(options, target);
  Generations::Pointer next = steps_.make_generation(std::move(options), target);
  if (!fixed.empty()) log::warning("{}: a change of this setting takes effect when baton is started again", fixed);
  begin_generation(std::move(next), target, is_rescaled);
  tell_begun();
}

void Rollout::begin_generation(Generations::Pointer next, unsigned target, bool is_rescaled) {
  log::start(next->options.worker.log, {"master"});
  old_target_.reset();
  if (is_rescaled) {
    old_target_ = parts_.pool.target();
    parts_.pool.set_target(target);
  }
  parts_.pool.set_surge(next->options.surge);
  parts_.pool.begin_reload(next->number, std::chrono::steady_clock::now());
  parts_.generations.replace(std::move(next));
}

void Rollout::tell_begun() {
  const Generation& now = *parts_.generations.current();
  const Generation& before = *parts_.generations.previous();
  ++reloads_;
  for (const auto& group : listeners_without(now, before)) log::info("listening on {}, too", group->address());
  if (now.options.backlog != before.options.backlog) parts_.listeners.set_backlog();
  const std::string message = fmt::format("reload {}: begins, {}", reloads_, workers(parts_.pool.target()));
  log::info("{}", message);
  parts_.events.tell("reload_began", message, {{"reload", reloads_}, {"of", parts_.pool.target()}});
}

void Rollout::roll_back(const std::string& why) {
  const Generations::Pointer failed = parts_.generations.roll_back();
  const Options& options = parts_.generations.options();
  log::start(options.worker.log, {"master"});
  parts_.pool.set_surge(options.surge);
  parts_.pool.set_target(old_target_.value_or(parts_.pool.target()));
  old_target_.reset();
  parts_.listeners.close_dropped(*failed);
  if (options.backlog != failed->options.backlog) parts_.listeners.set_backlog();
  end_reload({false, fmt::format("reload {}: failed: {}; the old workers go on", reloads_, why)});
}

void Rollout::end_reload(const Outcome& outcome) {
  log::write(outcome.ok ? log::Level::info : log::Level::error, outcome.message);
  parts_.events.tell(outcome.ok ? "reload_done" : "reload_failed", outcome.message,
                     {{"reload", reloads_}, {"ok", outcome.ok}});
  answer(reload_done_, outcome);
}

void Rollout::settle() {
  const bool was_reloading = parts_.pool.is_reloading();
  if (parts_.pool.is_settled()) {
    const unsigned count = parts_.pool.target();
    if (was_reloading) {
      const Generations::Pointer old = parts_.generations.settle();
      for (const auto& group : parts_.listeners.close_dropped(*old))
        log::info("no longer listening on {}", group->address());
      end_reload({true, fmt::format("reload {}: done, {} replaced", reloads_, workers(count))});
    }
    if (scaling_) end_scale({true, fmt::format("{} {} ready", workers(count), count == 1 ? "is" : "are")});
  }
  if (parts_.pool.is_reloading() || !std::exchange(reload_again_, false)) return;
  reload_done_ = std::exchange(next_reload_done_, {});
  begin_reload();
}

void Rollout::tell_progress() {
  const unsigned done = parts_.pool.ready();
  const boost::json::object fields{{"done", done}, {"of", parts_.pool.target()}};
  const std::string message = fmt::format("{} of {} ready", done, workers(parts_.pool.target()));
  if (parts_.pool.is_reloading()) parts_.events.tell("reload_progress", message, fields);
  if (scaling_) parts_.events.tell("scale_progress", message, fields);
}

void Rollout::on_loss(const Loss& loss, const std::string& what) {
  if (loss.ends_reload) return roll_back(what);
  if (scaling_ && !loss.member.was_ready)
    end_scale({false, fmt::format("{}; {} of {} workers are ready, and it is tried again", what, parts_.pool.ready(),
                                  parts_.pool.target())});
}

void Rollout::stop(Done done) {
  stop_done_.push_back(std::move(done));
  if (parts_.pool.is_stopping()) return;
  parts_.pool.stop();
  log::info("stopping: workers finish what they are answering");
  parts_.events.tell("stopping", "workers finish what they are answering");
  const Outcome outcome{false, "baton is stopping"};
  answer(scale_done_, outcome);
  answer(reload_done_, outcome);
  answer(next_reload_done_, outcome);
  parts_.listeners.close_all();
  steps_.advance();
}

void Rollout::end_stop() {
  answer(stop_done_, {true, "stopped"});
}

}  // namespace baton
