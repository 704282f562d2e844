// Master. Who is to work, and what to do next for it. A slot is a worker's number, from 1 to the target; a member is a
// process that holds one, or did. Whoever started or ended is recorded here, and plan() compares what is with what is
// wanted: start a worker, a successor, a trial; let one retire. Restart, reload, scaling and recycling are all this one
// comparison. Pure and plain data: no process, no clock, chance and time are passed in.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "master/pool/member.hpp"

namespace baton {

/// The pause before the start that follows the n-th failure in a row: none, then 100 ms, doubling up to 30 s, of which
/// `chance` (0 to 1) takes off up to a half, so that many do not start at the same moment.
Milliseconds backoff(unsigned failures, double chance);

class Pool {
 public:
  /// Numbers between 0 and 1.
  using Chance = std::function<double()>;

  explicit Pool(Chance chance) : chance_(std::move(chance)) {}

  struct Steps {
    std::vector<unsigned> start;  ///< slots that get a new member, of the wanted generation
    std::vector<int> retire;      ///< members
    bool open_breaker = false;
  };

  void set_target(unsigned target);
  /// Nobody is wanted any more, for good.
  void stop();
  void set_surge(unsigned surge) { surge_ = surge; }
  /// Every member of another generation is to be replaced. Forgets past failures: the operator has changed something.
  void begin_reload(unsigned generation, TimePoint now);
  void condemn(int id) { members_.at(id).is_condemned = true; }
  /// The same for a fault of its own, which counts like a death: whose successors go on like this come less and less
  /// often.
  void condemn_for_fault(int id, TimePoint now);

  void started(int id, unsigned slot, TimePoint now, const TimeLimits& limits);
  /// The start of a member of the wanted generation failed before there was a process.
  Loss not_started(unsigned slot, TimePoint now);
  /// Got ready, retires. Not for an end.
  Action apply(int id, Event event, TimePoint now);
  /// It hangs or its time has run out: it is of no use to its slot from now on, where it was before.
  struct Failed {
    Action action = Action::none;
    std::optional<Loss> loss;
  };
  Failed fail(int id, Event event, TimePoint now);
  /// `from_outside`: it was killed by a signal that no program ends itself with. One that was ready says nothing
  /// against itself by that, and is replaced at once.
  Loss ended(int id, TimePoint now, bool from_outside);

  [[nodiscard]] Steps plan(TimePoint now);
  /// When plan() or a member's timeout is due next.
  [[nodiscard]] std::optional<TimePoint> next_wake(TimePoint now) const;

  [[nodiscard]] const std::map<int, Member>& members() const { return members_; }
  /// Of one of them.
  [[nodiscard]] State state(int id) const { return members_.at(id).life.state(); }
  /// It is ready, not to be replaced yet, and was so for less than ten seconds. Who leaves by itself so soon does so
  /// again and again.
  [[nodiscard]] bool is_early(int id, TimePoint now) const;
  [[nodiscard]] bool is_stopping() const { return stopping_; }
  /// stop() was called, and the last has gone.
  [[nodiscard]] bool has_ended() const { return stopping_ && members_.empty(); }
  [[nodiscard]] unsigned target() const { return target_; }
  [[nodiscard]] unsigned generation() const { return generation_; }
  [[nodiscard]] bool is_reloading() const { return old_generation_.has_value(); }
  /// Slots whose worker is ready and of the wanted generation.
  [[nodiscard]] unsigned ready() const;
  /// Somebody is wanted, every slot is so, and nothing is under way.
  [[nodiscard]] bool is_complete() const;
  /// Every slot is so, and nobody else serves. Ends a reload.
  bool is_settled();
  /// Open: every slot has failed again and again, and clients are refused; one worker at a time is tried.
  [[nodiscard]] bool breaker_is_open() const { return breaker_open_; }
  void close_breaker() { breaker_open_ = false; }
  /// Somebody who was not asked to leave is starting or ready.
  [[nodiscard]] bool has_staying() const;

  struct Vacancy {
    unsigned slot = 0;
    unsigned failures = 0;
    TimePoint until;
  };
  /// Slots that nobody holds.
  [[nodiscard]] std::vector<Vacancy> vacancies() const;

 private:
  struct Slot {
    unsigned failures = 0;  ///< in a row, without a healthy minute between
    TimePoint not_before{};
  };

  /// Who holds a slot, or is about to.
  struct Holders {
    int current = 0;  ///< id of the one of the wanted generation, 0 for none
    bool current_is_ready = false;
    std::vector<int> outdated;  ///< others who hold it: to go once the current one is ready

    [[nodiscard]] bool is_vacant() const { return current == 0 && outdated.empty(); }
  };

  [[nodiscard]] bool is_current(const Member& member) const;
  using Table = std::vector<Holders>;  ///< by slot, from 1

  [[nodiscard]] Table table() const;
  [[nodiscard]] bool must_open_breaker() const;
  void plan_surplus(Steps& steps) const;
  void plan_spare(const Holders& held, Steps& steps) const;
  [[nodiscard]] bool may_fill(unsigned slot, const Steps& steps) const;
  [[nodiscard]] bool may_replace(std::size_t replacing, const Steps& steps) const;
  Loss lose(const Member& member, TimePoint now, bool from_outside);
  Milliseconds count_failure(const Member& member, TimePoint now);

  Chance chance_;
  unsigned target_ = 0;
  unsigned surge_ = 1;
  unsigned generation_ = 1;
  std::optional<unsigned> old_generation_;  ///< to go back to when the reload under way fails
  bool breaker_open_ = false;
  bool stopping_ = false;
  unsigned highest_target_ = 0;  ///< since somebody was last leaving
  std::map<unsigned, Slot> slots_;
  std::map<int, Member> members_;
};

}  // namespace baton
