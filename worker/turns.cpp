// Worker. Who is ahead.
#include "worker/turns.hpp"

#include <algorithm>

namespace baton {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 1ms;
constexpr auto most_patience = 8ms;
constexpr auto window = 100ms;
constexpr std::int64_t turns_for_one_ahead = 100;
/// How many turns a worker that was busy makes good.
constexpr std::uint64_t most_arrears = 64;
constexpr std::int64_t most_halvings = 40;
constexpr std::int64_t most_lead = std::int64_t{1} << most_halvings;

}  // namespace

Turns::Others Turns::look_at_others() const {
  const std::uint64_t own = counters_.turns();
  Others others;
  for (const CounterRow& each : counters_.neighbours()) {
    const std::uint64_t turns = each.turns();
    if (turns == 0) continue;
    others.furthest = std::max(others.furthest, turns);
    others.arrears += own - turns;
    ++others.count;
  }
  --others.count;  // ourselves
  return others;
}

bool Turns::is_ahead() const {
  if (counters_.turns() == 0) return false;
  const Others others = look_at_others();
  return static_cast<std::int64_t>(others.arrears) > others.count * (allowed_lead_ + busy_lead_);
}

void Turns::join() {
  if (share_ && counters_.turns() == 0) counters_.set_turns(std::max<std::uint64_t>(look_at_others().furthest, 1));
}

void Turns::leave() {
  counters_.set_turns(0);
  is_out_ = false;
}

void Turns::take() {
  if (counters_.turns() == 0) return;
  const std::uint64_t furthest = look_at_others().furthest;
  counters_.set_turns(std::max(counters_.turns() + 1, furthest - std::min(furthest, most_arrears)));
  measure_load();
}

void Turns::measure_load() {
  ++recent_turns_;
  const std::int64_t lead = recent_turns_ / turns_for_one_ahead;
  if (now_ < window_end_) {
    busy_lead_ = std::max(busy_lead_, lead);
    return;
  }
  busy_lead_ = lead;
  recent_turns_ = 0;
  const auto windows = std::min<std::int64_t>((now_ - window_end_) / window + 1, most_halvings);
  allowed_lead_ = std::max<std::int64_t>(allowed_lead_ >> windows, 1);
  window_end_ = now_ + window;
}

void Turns::step_out(bool are_waiting) {
  is_out_ = true;
  latest_return_ = now_ + patience;
  end_of_patience_ = now_ + most_patience;
  saw_waiting_ = are_waiting;
  arrears_seen_ = look_at_others().arrears;
}

bool Turns::stay_out() {
  const std::uint64_t arrears = look_at_others().arrears;
  const bool came_since = !saw_waiting_ || arrears != arrears_seen_;
  if (!came_since || now_ >= end_of_patience_) return false;
  saw_waiting_ = true;
  arrears_seen_ = arrears;
  latest_return_ = now_ + patience;
  return true;
}

void Turns::come_back(bool in_vain) {
  is_out_ = false;
  if (in_vain) allowed_lead_ = std::min(allowed_lead_ + std::max<std::int64_t>(allowed_lead_ / 4, 1), most_lead);
}

}  // namespace baton
