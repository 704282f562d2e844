// Unit tests of what the pool tells of itself: early, complete, stopping, ended.
#include "master/pool/pool.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;

TEST_CASE("who leaves sooner than ten seconds after it got ready leaves early") {
  const TimePoint began{};
  Pool pool([] { return 0.0; });
  pool.set_target(1);
  pool.started(1, 1, began, {});
  CHECK_FALSE(pool.is_early(1, began));  // it is not ready
  static_cast<void>(pool.apply(1, Event::got_ready, began));
  CHECK(pool.is_early(1, began + 9999ms));
  CHECK_FALSE(pool.is_early(1, began + 10s));
  pool.condemn(1);
  CHECK_FALSE(pool.is_early(1, began));  // it is to be replaced already
}

TEST_CASE("a pool is complete when every slot's worker is ready, and none is being replaced") {
  const TimePoint began{};
  Pool pool([] { return 0.0; });
  CHECK_FALSE(pool.is_complete());  // nobody is wanted
  pool.set_target(1);
  pool.started(1, 1, began, {});
  CHECK_FALSE(pool.is_complete());
  static_cast<void>(pool.apply(1, Event::got_ready, began));
  CHECK(pool.is_complete());
  pool.begin_reload(2, began);
  CHECK_FALSE(pool.is_complete());
}

TEST_CASE("a pool that was stopped wants nobody, and has ended with its last member") {
  const TimePoint began{};
  Pool pool([] { return 0.0; });
  pool.set_target(1);
  pool.started(1, 1, began, {});
  CHECK_FALSE(pool.is_stopping());
  pool.stop();
  CHECK(pool.is_stopping());
  CHECK(pool.target() == 0);
  CHECK_FALSE(pool.has_ended());
  CHECK(pool.plan(began).retire == std::vector<int>{1});
  static_cast<void>(pool.apply(1, Event::retire, began));
  static_cast<void>(pool.ended(1, began, false));
  CHECK(pool.has_ended());
}

}  // namespace
}  // namespace baton::test
