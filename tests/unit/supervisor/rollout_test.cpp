// Unit tests of reload, scale and stop: what is asked for, what becomes of it, and what those who wait are told. No
// process is started: made-up workers do what the pool's plan says, with real listeners in front of them.
#include "master/supervisor/rollout.hpp"

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

TimePoint now() {
  return std::chrono::steady_clock::now();
}

class Site {
 public:
  explicit Site(unsigned workers) {
    options.workers = workers;
    options.backlog = 16;
    generations.begin(make(options, workers));
    pool.set_target(workers);
    advance();
    make_ready();
  }

  /// Reads "ok MESSAGE" or "failed MESSAGE" once the command has come to its end.
  Done into(std::string& told) {
    return [&told](const Outcome& outcome) { told = (outcome.ok ? "ok " : "failed ") + outcome.message; };
  }

  void advance() {
    for (;;) {
      const Pool::Steps steps = pool.plan(now());
      for (const int id : steps.retire) static_cast<void>(pool.apply(id, Event::retire, now()));
      for (const unsigned slot : steps.start) pool.started(++last_id, slot, now(), {});
      if (steps.start.empty() && steps.retire.empty()) break;
    }
    if (!pool.is_stopping()) rollout.settle();
  }

  std::vector<int> in(State state) const {
    std::vector<int> found;
    for (const auto& [id, member] : pool.members())
      if (member.life.state() == state) found.push_back(id);
    return found;
  }

  /// All who start get ready, and all who are asked to go, until nothing is under way.
  void make_ready() {
    while (!in(State::starting).empty() || !in(State::draining).empty()) {
      for (const int id : in(State::starting)) static_cast<void>(pool.apply(id, Event::got_ready, now()));
      for (const int id : in(State::draining)) static_cast<void>(pool.ended(id, now(), false));
      advance();
    }
  }

  /// Whoever starts ends before it is ready.
  void lose_starting() {
    const Loss loss = pool.ended(in(State::starting).front(), now(), false);
    rollout.on_loss(loss, "worker 1 pid 7 exited with code 1");
    advance();
  }

  Generations::Pointer make(Options wanted, unsigned target) {
    return make_generation(loop.get_executor(), generations.next_number(), std::move(wanted),
                           generations.current().get(), alarm, target, false);
  }

  boost::asio::io_context loop;
  Options options;
  std::string refusal;  ///< that reading the configuration throws
  Events events;
  Pool pool{[] { return 0.0; }};
  Generations generations;
  ListenerAlarm alarm;
  ClusterListeners asked_for{alarm};
  OpenListeners listeners{generations, asked_for, pool, events};
  int last_id = 0;
  Rollout rollout{{pool, generations, listeners, events},
                  {[this] {
                     if (!refusal.empty()) throw UsageError(refusal);
                     return options;
                   },
                   [this](Options wanted, unsigned target) { return make(std::move(wanted), target); },
                   [](const Options& /*options*/, unsigned target) {
                     if (target == 13) throw UsageError("13 would not do");
                   },
                   [this] { advance(); }}};
};

NamedAddress address(const std::string& text) {
  return {"server", parse_address(text, 0)};
}

TEST_CASE("a scale is over when so many are ready") {
  Site site(2);
  std::string told;
  site.rollout.scale("+2", site.into(told));
  CHECK(site.rollout.is_scaling());
  CHECK(told.empty());
  site.make_ready();
  CHECK(told == "ok 4 workers are ready");
  CHECK_FALSE(site.rollout.is_scaling());
}

TEST_CASE("a scale that would not do is refused, and changes nothing") {
  Site site(2);
  std::string told;
  site.rollout.scale("13", site.into(told));
  CHECK(told == "failed 13 would not do");
  CHECK(site.pool.target() == 2);
}

TEST_CASE("of two scales, the first is told of the second") {
  Site site(2);
  std::string first;
  std::string second;
  site.rollout.scale("3", site.into(first));
  site.rollout.scale("4", site.into(second));
  CHECK(first == "failed another command has set the number of workers to 4");
  site.make_ready();
  CHECK(second == "ok 4 workers are ready");
}

TEST_CASE("a reload is done when every worker is replaced") {
  Site site(3);
  std::string told;
  site.rollout.reload(site.into(told));
  CHECK(site.generations.current()->number == 2);
  CHECK(site.generations.previous() != nullptr);
  site.make_ready();
  CHECK(told == "ok reload 1: done, 3 workers replaced");
  CHECK(site.generations.previous() == nullptr);
  CHECK(site.pool.generation() == 2);
}

TEST_CASE("a reload whose configuration can't be read is refused, and the old one stays") {
  Site site(2);
  site.refusal = "--listen: no";
  std::string told;
  site.rollout.reload(site.into(told));
  CHECK(told == "failed reload refused: --listen: no; the old configuration stays");
  CHECK(site.generations.current()->number == 1);
  CHECK(site.rollout.reloads() == 0);
}

TEST_CASE("a reload whose new worker fails is rolled back, with its number of workers and its listeners") {
  Site site(2);
  std::string told;
  site.options.workers = 4;
  site.options.listen.push_back(address("127.0.0.1:0"));
  site.rollout.reload(site.into(told));
  CHECK(site.pool.target() == 4);
  const Generations::Pointer failed = site.generations.current();
  REQUIRE(failed->listeners.size() == 1);
  CHECK(failed->listeners.front()->vault(1)->is_listening());
  site.lose_starting();
  CHECK(told == "failed reload 1: failed: worker 1 pid 7 exited with code 1; the old workers go on");
  CHECK(site.generations.current()->number == 1);
  CHECK(site.pool.target() == 2);
  CHECK(failed->listeners.front()->vault(1)->is_empty());
  site.make_ready();
  CHECK(site.pool.ready() == 2);
  // No later generation has the number of one that failed.
  CHECK(site.generations.next_number() == 3);
}

TEST_CASE("a reload that drops a listener closes it when it is done, and not before") {
  Site site(1);
  site.options.listen.push_back(address("127.0.0.1:0"));
  std::string told;
  site.rollout.reload(site.into(told));
  site.make_ready();
  const std::shared_ptr<ListenerGroup> group = site.generations.current()->listeners.at(0);
  site.options.listen.clear();
  site.rollout.reload(site.into(told));
  CHECK(group->vault(1)->is_listening());
  site.make_ready();
  CHECK(told == "ok reload 2: done, 1 worker replaced");
  CHECK(group->vault(1)->is_empty());
}

TEST_CASE("reloads that are asked for during a reload are one more, behind it") {
  Site site(1);
  std::vector<std::string> told(3);
  for (std::string& each : told) site.rollout.reload(site.into(each));
  CHECK(site.rollout.reloads() == 1);
  site.make_ready();
  CHECK(told.at(0) == "ok reload 1: done, 1 worker replaced");
  CHECK(told.at(1) == "ok reload 2: done, 1 worker replaced");
  CHECK(told.at(2) == told.at(1));
}

TEST_CASE("a reload keeps the number that was scaled to, unless the configured one has changed") {
  Site site(2);
  std::string told;
  site.rollout.scale("3", site.into(told));
  site.make_ready();
  site.rollout.reload(site.into(told));
  site.make_ready();
  CHECK(site.pool.target() == 3);
  site.options.workers = 1;
  site.rollout.reload(site.into(told));
  site.make_ready();
  CHECK(site.pool.target() == 1);
}

TEST_CASE("a stop answers those who wait, closes what clients come in by, and wants nobody") {
  Site site(2);
  site.options.listen.push_back(address("127.0.0.1:0"));
  std::string reload;
  site.rollout.reload(site.into(reload));
  const std::shared_ptr<ListenerGroup> group = site.generations.current()->listeners.at(0);
  std::string stop;
  site.rollout.stop(site.into(stop));
  CHECK(reload == "failed baton is stopping");
  CHECK(group->vault(1)->is_empty());
  CHECK(site.in(State::ready).empty());
  std::string late;
  site.rollout.scale("2", site.into(late));
  CHECK(late == "failed baton is stopping");
  CHECK(stop.empty());
  site.rollout.end_stop();
  CHECK(stop == "ok stopped");
}

}  // namespace
}  // namespace baton::test
