// Master. The supervisor's side of the commands: reload, scale, stop, status.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "common/units.hpp"
#include "master/settings/combinations.hpp"
#include "master/supervisor/supervisor.hpp"

namespace baton {
namespace {

void answer(std::vector<Done>& waiting, const Outcome& outcome) {
  for (const Done& done : std::exchange(waiting, {})) done(outcome);
}

std::string workers(unsigned count) {
  return fmt::format("{} worker{}", count, count == 1 ? "" : "s");
}

std::int64_t milliseconds(TimePoint::duration duration) {
  return std::chrono::duration_cast<Milliseconds>(duration).count();
}

using Groups = std::vector<std::shared_ptr<ListenerGroup>>;

/// The addresses of `one` that `other` does not have.
Groups listeners_without(const Generation& one, const Generation& other) {
  Groups found;
  for (const auto& each : one.listeners)
    if (std::find(other.listeners.begin(), other.listeners.end(), each) == other.listeners.end()) found.push_back(each);
  return found;
}

/// Gives up what is there; but two ranges can have ports in common.
void close(const ListenerGroup& dropped, const Groups& kept) {
  for (const auto& [place, vault] : dropped.vaults()) {
    const bool is_kept = std::any_of(kept.begin(), kept.end(), [&](const auto& group) {
      const auto& others = group->vaults();
      return std::any_of(others.begin(), others.end(), [&](const auto& each) { return each.second == vault; });
    });
    if (!is_kept) vault->empty();
  }
}

/// Where clients reach that slot's worker.
boost::json::array addresses_of(const Generation& generation, unsigned slot) {
  boost::json::array all;
  for (const auto& group : generation.listeners)
    if (const std::string address = group->address_of(slot); !address.empty()) all.emplace_back(address);
  return all;
}

/// A reload can't change it: what it brings is judged by the one in force.
void keep_policy(Options& options, Policy policy, unsigned target) {
  const bool is_changed = std::exchange(options.policy, policy) != policy;
  try {
    check_combinations(options, target);
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

unsigned parse_amount(std::string_view amount, unsigned from) {
  const bool is_relative = amount.starts_with('+') || amount.starts_with('-');
  const auto number = static_cast<unsigned>(
      parse_count(is_relative ? amount.substr(1) : amount, 0, most_workers, "a number of workers"));
  if (!is_relative) return number;
  if (amount.front() == '-') return from > number ? from - number : 0;
  if (from + number > most_workers)
    throw UsageError(fmt::format("\"{}\" would be {} workers (at most {})", amount, from + number, most_workers));
  return from + number;
}

void Supervisor::scale(std::string_view amount, Done done) {
  if (stopping_) return done({false, "baton is stopping"});
  const unsigned target = parse_amount(amount, pool_.target());
  try {
    check_combinations(generation_->options, target);
    check_target(generation_->options, target);
  } catch (const UsageError& error) {
    log::warning("not scaled to {}: {}", workers(target), error.what());
    return done({false, error.what()});
  }
  set_target(target, std::move(done));
}

void Supervisor::set_target(unsigned target, Done done) {
  const std::string message = fmt::format("scaling from {} to {}", workers(pool_.target()), target);
  log::info("{}", message);
  answer(scale_done_, {false, fmt::format("another command has set the number of workers to {}", target)});
  scaling_ = true;
  scale_done_.push_back(std::move(done));
  old_target_.reset();
  pool_.set_target(target);
  if (target == 0 && pool_.breaker_is_open()) {  // nobody is wanted who could fail: clients wait
    pool_.close_breaker();
    close_breaker();
  }
  tell("scale_began", message, {{"of", target}});
  advance();
}

void Supervisor::end_scale(const Outcome& outcome) {
  scaling_ = false;
  log::write(outcome.ok ? log::Level::info : log::Level::error,
             (outcome.ok ? "scaled: " : "scaling: ") + outcome.message);
  tell("scale_done", outcome.message, {{"ok", outcome.ok}});
  answer(scale_done_, outcome);
}

void Supervisor::reload(Done done) {
  if (stopping_) return done({false, "baton is stopping"});
  if (pool_.is_reloading()) {
    next_reload_done_.push_back(std::move(done));
    reload_again_ = true;
    return log::info("another reload follows the one under way");
  }
  reload_done_.push_back(std::move(done));
  begin_reload();
}

void Supervisor::begin_reload() {
  try {
    take_over(read_options_());
  } catch (const std::runtime_error& error) {  // UsageError, StartError, std::system_error
    const std::string message = fmt::format("reload refused: {}; the old configuration stays", error.what());
    log::error("{}", message);
    tell("reload_refused", message);
    return answer(reload_done_, {false, message});
  }
  advance();
}

void Supervisor::take_over(Options options) {
  for (const std::string& warning : options.warnings) log::warning("{}", warning);
  const std::string fixed = fixed_change(generation_->options, options);
  // Unless the configured number has changed, it stays as it was scaled meanwhile.
  const bool is_rescaled = options.workers != generation_->options.workers;
  const unsigned target = is_rescaled ? options.workers : pool_.target();
  keep_policy(options, generation_->options.policy, target);
  check_target(options, target);
  auto next = make_generation(executor_, last_generation_ + 1, std::move(options), generation_.get(), alarm_, target,
                              pool_.breaker_is_open());
  last_generation_ = next->number;
  const Options& wanted = next->options;
  if (!fixed.empty()) log::warning("{}: a change of this setting takes effect when baton is started again", fixed);
  log::start(wanted.worker.log, {"master"});
  old_target_.reset();
  if (is_rescaled) {
    old_target_ = pool_.target();
    pool_.set_target(target);
  }
  pool_.set_surge(wanted.surge);
  pool_.begin_reload(next->number, std::chrono::steady_clock::now());
  old_generation_ = std::exchange(generation_, std::move(next));
  ++reloads_;
  progress_ = 0;
  for (const auto& group : listeners_without(*generation_, *old_generation_))
    log::info("listening on {}, too", group->address());
  if (generation_->options.backlog != old_generation_->options.backlog) set_backlog();
  const std::string message = fmt::format("reload {}: begins, {}", reloads_, workers(pool_.target()));
  log::info("{}", message);
  tell("reload_began", message, {{"reload", reloads_}, {"of", pool_.target()}});
}

void Supervisor::set_backlog() {
  if (pool_.breaker_is_open()) return;
  for (const auto& group : listeners())
    for (const auto& [place, vault] : group->vaults()) {
      try {
        if (vault->is_listening()) vault->listen(generation_->options.backlog);
      } catch (const std::system_error& error) {
        log::error("the backlog of {} stays: {}", vault->address(), error.what());
      }
    }
}

void Supervisor::roll_back(const std::string& why) {
  const Generations failed = std::exchange(generation_, std::exchange(old_generation_, nullptr));
  const Options& options = generation_->options;
  log::start(options.worker.log, {"master"});
  pool_.set_surge(options.surge);
  pool_.set_target(old_target_.value_or(pool_.target()));
  old_target_.reset();
  for (const auto& group : listeners_without(*failed, *generation_)) close(*group, generation_->listeners);
  if (options.backlog != failed->options.backlog) set_backlog();
  end_reload({false, fmt::format("reload {}: failed: {}; the old workers go on", reloads_, why)});
}

void Supervisor::end_reload(const Outcome& outcome) {
  log::write(outcome.ok ? log::Level::info : log::Level::error, outcome.message);
  tell(outcome.ok ? "reload_done" : "reload_failed", outcome.message, {{"reload", reloads_}, {"ok", outcome.ok}});
  answer(reload_done_, outcome);
}

/// Ends what has come to its end.
void Supervisor::settle() {
  const bool was_reloading = pool_.is_reloading();
  if (pool_.is_settled()) {
    if (was_reloading) {
      const Generations old = std::exchange(old_generation_, nullptr);
      for (const auto& group : listeners_without(*old, *generation_)) {
        close(*group, generation_->listeners);
        log::info("no longer listening on {}", group->address());
      }
      end_reload({true, fmt::format("reload {}: done, {} replaced", reloads_, workers(pool_.target()))});
    }
    if (scaling_)
      end_scale({true, fmt::format("{} {} ready", workers(pool_.target()), pool_.target() == 1 ? "is" : "are")});
  }
  if (pool_.is_reloading() || !std::exchange(reload_again_, false)) return;
  reload_done_ = std::exchange(next_reload_done_, {});
  begin_reload();
}

void Supervisor::tell_progress() {
  const unsigned done = pool_.ready();
  const boost::json::object fields{{"done", done}, {"of", pool_.target()}};
  const std::string message = fmt::format("{} of {} ready", done, workers(pool_.target()));
  if (pool_.is_reloading()) tell("reload_progress", message, fields);
  if (scaling_) tell("scale_progress", message, fields);
}

void Supervisor::stop(Done done) {
  stop_done_.push_back(std::move(done));
  if (std::exchange(stopping_, true)) return;
  log::info("stopping: workers finish what they are answering");
  tell("stopping", "workers finish what they are answering");
  const Outcome outcome{false, "baton is stopping"};
  answer(scale_done_, outcome);
  answer(reload_done_, outcome);
  answer(next_reload_done_, outcome);
  for (const Generations& each : {generation_, old_generation_})
    if (each)
      for (const auto& group : each->listeners) group->empty();
  cluster_listeners_.empty();
  pool_.set_target(0);
  advance();
}

boost::json::object Supervisor::status() const {
  const auto state = [this] {
    if (stopping_) return "stopping";
    if (pool_.breaker_is_open()) return "failing";
    if (pool_.is_reloading()) return "reloading";
    return scaling_ ? "scaling" : "serving";
  };
  boost::json::array addresses;
  for (const auto& group : listeners())
    for (const std::string& each : group->addresses())
      addresses.push_back(boost::json::object{{"name", group->name()}, {"address", each}});
  std::multimap<unsigned, boost::json::object> by_slot;
  for (const auto& [id, member] : pool_.members()) by_slot.emplace(member.slot, describe(id, member));
  const TimePoint now = std::chrono::steady_clock::now();
  for (const Pool::Vacancy& each : pool_.vacancies()) {
    const auto loss = last_loss_.find(each.slot);
    by_slot.emplace(each.slot, boost::json::object{
                                   {"worker", each.slot},
                                   {"pid", nullptr},
                                   {"state", "backing_off"},
                                   {"retry_in_ms", std::max<std::int64_t>(milliseconds(each.until - now), 0)},
                                   {"failures", each.failures},
                                   {"listeners", baton::addresses_of(*generation_, each.slot)},
                                   {"note", loss == last_loss_.end() ? "" : loss->second},
                               });
  }
  boost::json::array list;
  for (auto& [slot, each] : by_slot) list.push_back(std::move(each));
  return {{"name", name_},
          {"version", BATON_VERSION},
          {"pid", ::getpid()},
          {"started", started_},
          {"state", state()},
          {"target", pool_.target()},
          {"ready", pool_.ready()},
          {"generation", generation_->number},
          {"reloads", reloads_},
          {"restarts", restarts_},
          {"control", control_},
          {"totals", totals()},
          {"listeners", std::move(addresses)},
          {"workers", std::move(list)}};
}

/// Gauges mean something of one worker at one moment alone; the open connections can be added up.
boost::json::object Supervisor::totals() const {
  boost::json::object sums;
  for (const MetricInfo& each : metrics)
    if (each.kind == MetricKind::counter || each.metric == Metric::open)
      sums[each.name] = processes_.total(each.metric);
  return sums;
}

/// Where clients reach it.
boost::json::array Supervisor::addresses_of(const WorkerHandle& worker) const {
  if (!worker.cluster) return baton::addresses_of(*worker.generation, worker.number);
  boost::json::array all;
  for (const ClusterListeners::Holding& each : cluster_listeners_.holdings(worker.id))
    all.emplace_back(each.vault->address());
  return all;
}

boost::json::object Supervisor::describe(int id, const Member& member) const {
  const WorkerHandle& worker = processes_.at(id);
  boost::json::object described{{"worker", member.slot},
                                {"pid", worker.child.pid()},
                                {"state", std::string(baton::name(member.life.state()))},
                                {"generation", member.generation},
                                {"age_ms", milliseconds(std::chrono::steady_clock::now() - worker.started)},
                                {"rss", worker.child.resident_memory()},
                                {"listeners", addresses_of(worker)},
                                {"note", worker.status}};
  describe_load(worker, described);
  const CounterRow* counters = processes_.counters(worker);
  if (counters == nullptr) return described;
  for (const MetricInfo& each : metrics)
    if (each.metric != Metric::last_beat) described[each.name] = counters->get(each.metric);
  return described;
}

}  // namespace baton
