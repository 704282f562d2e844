// Master. The comparison of what is with what is wanted.
#include "master/pool/pool.hpp"

#include <algorithm>
#include <cmath>

namespace baton {
namespace {

using namespace std::chrono_literals;

constexpr Milliseconds first_pause = 100ms;
constexpr Milliseconds longest_pause = 30s;
constexpr Milliseconds healthy_time = 60s;
constexpr Milliseconds least_service = 10s;
constexpr unsigned hopeless = 3;  ///< failures in a row of every slot, which open the breaker
constexpr unsigned trial_slot = 1;

}  // namespace

Milliseconds backoff(unsigned failures, double chance) {
  if (failures <= 1) return 0ms;
  constexpr unsigned doublings_to_longest = 9;
  const Milliseconds full = std::min(first_pause * (1 << std::min(failures - 2, doublings_to_longest)), longest_pause);
  return full - Milliseconds(std::llround(static_cast<double>(full.count()) / 2 * chance));
}

void Pool::set_target(unsigned target) {
  target_ = target;
  highest_target_ = std::max(highest_target_, target);
  slots_.erase(slots_.upper_bound(target), slots_.end());
  for (unsigned slot = 1; slot <= target; ++slot) slots_[slot];
}

void Pool::stop() {
  stopping_ = true;
  set_target(0);
}

void Pool::begin_reload(unsigned generation, TimePoint now) {
  old_generation_ = generation_;
  generation_ = generation;
  for (auto& [number, slot] : slots_) slot = {0, now};
}

void Pool::started(int id, unsigned slot, TimePoint now, const TimeLimits& limits) {
  members_.emplace(id, Member{.slot = slot, .generation = generation_, .life = Life(now, limits)});
}

Loss Pool::not_started(unsigned slot, TimePoint now) {
  return lose(Member{.slot = slot, .generation = generation_, .life = Life(now, {})}, now, false);
}

Action Pool::apply(int id, Event event, TimePoint now) {
  Member& member = members_.at(id);
  const Action action = member.life.apply(event, now);
  if (event == Event::retire) member.was_retired = true;
  if (action == Action::announce) {
    member.was_ready = true;
    member.ready_since = now;
    if (breaker_open_)
      for (auto& [number, slot] : slots_) slot.not_before = now;
    breaker_open_ = false;
  }
  return action;
}

Pool::Failed Pool::fail(int id, Event event, TimePoint now) {
  Member& member = members_.at(id);
  const bool was_staying = is_staying(member.life.state());
  Failed failed{member.life.apply(event, now), std::nullopt};
  if (!was_staying || is_staying(member.life.state())) return failed;
  failed.loss = lose(member, now, false);
  member.is_counted = true;
  return failed;
}

Loss Pool::ended(int id, TimePoint now, bool from_outside) {
  const Member member = members_.at(id);
  members_.erase(id);
  return lose(member, now, from_outside);
}

Loss Pool::lose(const Member& member, TimePoint now, bool from_outside) {
  Loss loss{.member = member};
  if (member.was_retired || member.is_counted) return loss;
  loss.is_failure = true;
  if (old_generation_ && member.generation == generation_ && !member.was_ready) {
    generation_ = *old_generation_;
    old_generation_.reset();
    loss.ends_reload = true;
    return loss;
  }
  // Whoever is killed by KILL when it was ready was killed by an operator, or for the machine's memory. That is no sign
  // of a crash loop, and however many are killed, each is replaced at once.
  if (from_outside && member.was_ready) return loss;
  loss.delay = count_failure(member, now);
  return loss;
}

/// Returns the pause before its slot is filled again.
Milliseconds Pool::count_failure(const Member& member, TimePoint now) {
  const auto found = slots_.find(member.slot);
  if (found == slots_.end()) return 0ms;
  Slot& slot = found->second;
  if (member.was_ready && now - member.ready_since >= healthy_time) slot.failures = 0;
  ++slot.failures;
  const Milliseconds delay = backoff(slot.failures, chance_());
  slot.not_before = now + delay;
  return delay;
}

void Pool::condemn_for_fault(int id, TimePoint now) {
  Member& member = members_.at(id);
  if (member.is_condemned) return;
  member.is_condemned = true;
  count_failure(member, now);
}

bool Pool::is_early(int id, TimePoint now) const {
  const Member& member = members_.at(id);
  return !member.is_condemned && member.life.state() == State::ready && now - member.ready_since < least_service;
}

bool Pool::is_current(const Member& member) const {
  return member.generation == generation_ && !member.is_condemned;
}

Pool::Table Pool::table() const {
  Table found(std::size_t{target_} + 1);
  for (const auto& [id, member] : members_) {
    if (member.slot > target_ || !is_staying(member.life.state())) continue;
    Holders& slot = found.at(member.slot);
    const bool is_ready = member.life.state() == State::ready;
    if (!is_current(member) || slot.current_is_ready) {
      slot.outdated.push_back(id);
      continue;
    }
    if (slot.current != 0) slot.outdated.push_back(slot.current);
    slot.current = id;
    slot.current_is_ready = is_ready;
  }
  return found;
}

bool Pool::has_staying() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& each) { return is_staying(each.second.life.state()); });
}

Pool::Steps Pool::plan(TimePoint now) {
  Steps steps;
  if (!breaker_open_ && must_open_breaker()) steps.open_breaker = breaker_open_ = true;
  const bool somebody_leaves = std::any_of(members_.begin(), members_.end(),
                                           [](const auto& each) { return !is_staying(each.second.life.state()); });
  if (!somebody_leaves) highest_target_ = std::max(target_, static_cast<unsigned>(members_.size()));
  const Table slots = table();
  std::size_t replacing = 0;
  for (const Holders& each : slots) replacing += each.current != 0 && !each.outdated.empty() ? 1U : 0U;
  for (unsigned slot = 1; slot <= target_; ++slot) {
    const Holders& held = slots.at(slot);
    if (held.current_is_ready) {
      steps.retire.insert(steps.retire.end(), held.outdated.begin(), held.outdated.end());
      continue;
    }
    if (held.current == 0) plan_spare(held, steps);
    if (held.current != 0 || now < slots_.at(slot).not_before) continue;
    if (held.is_vacant()) {
      if (may_fill(slot, steps)) steps.start.push_back(slot);
    } else if (may_replace(replacing, steps)) {
      steps.start.push_back(slot);
      ++replacing;
    }
  }
  plan_surplus(steps);
  return steps;
}

bool Pool::must_open_breaker() const {
  if (target_ == 0 || is_reloading()) return false;
  return !has_staying() &&
         std::all_of(slots_.begin(), slots_.end(), [](const auto& each) { return each.second.failures >= hopeless; });
}

/// The room for those who fill an empty slot is twice the target, too; after scaling down it is measured by the old one
/// until those who leave have left.
bool Pool::may_fill(unsigned slot, const Steps& steps) const {
  if (breaker_open_ && slot != trial_slot) return false;
  return members_.size() + steps.start.size() < std::size_t{2} * highest_target_;
}

bool Pool::may_replace(std::size_t replacing, const Steps& steps) const {
  return replacing < surge_ && members_.size() + steps.start.size() < std::size_t{2} * target_;
}

/// A successor may have to be replaced itself by the time that it is ready. It serves on, and not those before it: the
/// room that they take up may be what the next one needs.
void Pool::plan_spare(const Holders& held, Steps& steps) const {
  std::vector<int> ready;
  for (const int id : held.outdated)
    if (members_.at(id).life.state() == State::ready) ready.push_back(id);
  if (ready.size() > 1) steps.retire.insert(steps.retire.end(), ready.begin(), ready.end() - 1);
}

/// Those above the target go once somebody else serves.
void Pool::plan_surplus(Steps& steps) const {
  std::vector<int> surplus;
  bool others_serve = target_ == 0;
  for (const auto& [id, member] : members_) {
    if (!is_staying(member.life.state())) continue;
    if (member.slot > target_)
      surplus.push_back(id);
    else
      others_serve = others_serve || member.life.state() == State::ready;
  }
  if (others_serve) steps.retire.insert(steps.retire.end(), surplus.begin(), surplus.end());
}

std::optional<TimePoint> Pool::next_wake(TimePoint now) const {
  std::optional<TimePoint> next;
  const auto consider = [&](TimePoint when) {
    if (!next || when < *next) next = when;
  };
  for (const auto& [id, member] : members_)
    if (const std::optional<TimePoint> deadline = member.life.deadline()) consider(*deadline);
  for (const auto& [number, slot] : slots_)
    if (slot.not_before > now) consider(slot.not_before);
  return next;
}

unsigned Pool::ready() const {
  unsigned count = 0;
  for (const Holders& each : table()) count += each.current_is_ready ? 1U : 0U;
  return count;
}

bool Pool::is_complete() const {
  return !is_reloading() && !breaker_open_ && target_ > 0 && ready() == target_;
}

bool Pool::is_settled() {
  std::size_t staying = 0;
  for (const auto& [id, member] : members_) staying += is_staying(member.life.state()) ? 1U : 0U;
  const bool settled = staying == target_ && ready() == target_;
  if (settled) old_generation_.reset();
  return settled;
}

std::vector<Pool::Vacancy> Pool::vacancies() const {
  std::vector<Vacancy> found;
  const Table slots = table();
  for (const auto& [number, slot] : slots_)
    if (slots.at(number).is_vacant()) found.push_back({number, slot.failures, slot.not_before});
  return found;
}

}  // namespace baton
