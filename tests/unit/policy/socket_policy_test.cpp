// Unit tests of what the policies differ in: which listener a worker is handed, and what becomes of one whose worker
// has gone.
#include "master/policy/socket_policy.hpp"

#include "common/error.hpp"
#include "master/policy/policy.hpp"
#include "master/policy/reuseport.hpp"
#include "tests/support/catch/expect.hpp"

namespace baton::test {
namespace {

using Slots = std::vector<unsigned>;
using Lent = std::map<int, std::set<unsigned>>;

/// Slots 1 to `places` listen; nobody is there.
ListenerUse use(unsigned places, unsigned target) {
  ListenerUse made;
  for (unsigned slot = 1; slot <= places; ++slot) made.places.push_back({slot, true});
  made.target = target;
  made.may_close = true;
  return made;
}

/// Whose id is ten times their slot.
ListenerUse with(ListenerUse made, const Slots& ready, const Slots& starting = {}, bool can_borrow = true) {
  for (const unsigned slot : ready) made.workers.push_back({static_cast<int>(slot * 10), slot, true, can_borrow});
  for (const unsigned slot : starting) made.workers.push_back({static_cast<int>(slot * 10), slot, false, can_borrow});
  return made;
}

const SocketPolicy& reuseport = socket_policy(Policy::reuseport);
const SocketPolicy& own_port = socket_policy(Policy::own_port);

void check_nothing_to_do(const ListenerPlan& found) {
  CHECK(found.closed == Slots{});
  CHECK(found.lent == Lent{});
  CHECK(found.stranded == Slots{});
}

}  // namespace

TEST_CASE("one listener for all, but for those policies where each worker has its own") {
  for (const Policy each : {Policy::shared, Policy::roundrobin, Policy::leastconn, Policy::source}) {
    CHECK(socket_policy(each).is_common());
    CHECK(socket_policy(each).place(7) == 1);
    check_nothing_to_do(socket_policy(each).plan(with(use(1, 4), {2, 3})));
  }
  for (const SocketPolicy* each : {&reuseport, &own_port}) {
    CHECK_FALSE(each->is_common());
    CHECK(each->place(7) == 7);
  }
  CHECK(reuseport.shares_port());
  CHECK_FALSE(own_port.shares_port());
}

TEST_CASE("own-port: the n-th worker has the n-th port of the range, or one that the kernel chooses") {
  const auto text = [](const std::string& wanted, unsigned place) {
    return to_string(own_port.address(parse_address(wanted, 0), place));
  };
  CHECK(text("127.0.0.1:3000-3007", 1) == "127.0.0.1:3000");
  CHECK(text("127.0.0.1:3000-3007", 8) == "127.0.0.1:3007");
  CHECK(text("[::1]:65530-65535", 6) == "[::1]:65535");
  CHECK(text(":0", 5) == "[::]:0");
}

TEST_CASE("own-port: a port is kept for the slot's next worker, and closed when the slot goes") {
  check_nothing_to_do(own_port.plan(with(use(4, 4), {1, 2}, {3})));
  CHECK(own_port.plan(with(use(4, 2), {1, 2})).closed == Slots{3, 4});
  CHECK(own_port.plan(with(use(4, 2), {1, 2, 3}, {4})).closed == Slots{});  // they were not asked to leave yet
  CHECK(own_port.plan(use(4, 0)).closed == Slots{1, 2, 3, 4});
  ListenerUse reloading = use(4, 2);
  reloading.may_close = false;
  check_nothing_to_do(own_port.plan(reloading));
}

TEST_CASE("reuseport: only the first listener listens before its worker does") {
  CHECK_FALSE(reuseport.waits_for_worker(false));
  CHECK(reuseport.waits_for_worker(true));
  CHECK_FALSE(own_port.waits_for_worker(true));
}

TEST_CASE("reuseport: who is ready serves its own listener alone") {
  check_nothing_to_do(reuseport.plan(with(use(3, 3), {1, 2, 3})));
  check_nothing_to_do(reuseport.plan(with(use(3, 3), {1, 2, 3}, {1, 2, 3})));  // successors start
}

TEST_CASE("reuseport: a listener without a ready worker is lent to all who are") {
  const ListenerPlan found = reuseport.plan(with(use(4, 4), {1, 3}, {2}));
  CHECK(found.lent == Lent{{10, {2, 4}}, {30, {2, 4}}});
  CHECK(found.closed == Slots{});
  CHECK(found.stranded == Slots{});
}

TEST_CASE("reuseport: scaled down, a listener that still listens is lent, and one that never did is closed") {
  ListenerUse scaled = with(use(4, 2), {1, 2});
  scaled.places.at(2).listens = false;
  const ListenerPlan found = reuseport.plan(scaled);
  CHECK(found.closed == Slots{3});
  CHECK(found.lent == Lent{{10, {4}}, {20, {4}}});
  scaled.may_close = false;
  CHECK(reuseport.plan(scaled).closed == Slots{});
}

TEST_CASE("reuseport: where the kernel moves queues, a listener that can be lent is lent all the same") {
  ListenerUse scaled = with(use(4, 2), {1, 2});
  scaled.migrates = true;
  const ListenerPlan found = reuseport.plan(scaled);
  CHECK(found.closed == Slots{});
  CHECK(found.lent.size() == 2);
}

TEST_CASE("reuseport: with no worker all listeners stay: clients wait there for the next one") {
  ListenerUse none = use(4, 0);
  check_nothing_to_do(reuseport.plan(none));
  none.migrates = true;
  check_nothing_to_do(reuseport.plan(none));
}

TEST_CASE("reuseport: a command's workers are lent nothing") {
  const ListenerUse dead = with(use(3, 3), {1, 2}, {}, false);
  CHECK(reuseport.plan(dead).stranded == Slots{3});
  CHECK(reuseport.plan(dead).lent == Lent{});
  CHECK(reuseport.plan(dead).closed == Slots{});
  SECTION("their successor is there, and takes the listener over") {
    check_nothing_to_do(reuseport.plan(with(use(3, 3), {1, 2}, {3}, false)));
  }
  SECTION("nobody serves: then all clients wait, and that is no news") {
    check_nothing_to_do(reuseport.plan(with(use(3, 3), {}, {1}, false)));
  }
  SECTION("where the kernel moves queues, the others get its clients") {
    ListenerUse moving = dead;
    moving.migrates = true;
    CHECK(reuseport.plan(moving).closed == Slots{3});
    CHECK(reuseport.plan(moving).stranded == Slots{});
  }
  SECTION("those that were too many after all are given up, or every later client would wait there") {
    CHECK(reuseport.plan(with(use(3, 2), {1, 2}, {}, false)).closed == Slots{3});
  }
}

TEST_CASE("reuseport: a number of workers that would lose a command's clients is refused") {
  const auto refused = [](ListenerUse wanted) {
    return message_of<UsageError>([&] { reuseport.check_target(wanted, false); });
  };
  const ListenerUse fewer = use(4, 2);
  CHECK(refused(fewer) ==
        "4 listeners are open for reuseport, and clients would be lost with a worker for only 2 of them (sysctl "
        "net.ipv4.tcp_migrate_req=1 keeps them)");
  CHECK_NOTHROW(reuseport.check_target(fewer, true));
  CHECK_NOTHROW(reuseport.check_target(use(4, 4), false));
  CHECK_NOTHROW(reuseport.check_target(use(4, 9), false));
  CHECK_NOTHROW(reuseport.check_target(use(4, 0), false));  // nobody serves, and all wait
  CHECK_NOTHROW(own_port.check_target(fewer, false));
  ListenerUse moving = fewer;
  moving.migrates = true;
  CHECK_NOTHROW(reuseport.check_target(moving, false));
  ListenerUse bound = fewer;
  bound.places.at(2).listens = bound.places.at(3).listens = false;
  CHECK_NOTHROW(reuseport.check_target(bound, false));
}

TEST_CASE("lent evenly, and in bounded numbers") {
  const auto numbers = [](unsigned count) {
    Slots made;
    for (unsigned i = 1; i <= count; ++i) made.push_back(i);
    return made;
  };
  const unsigned listeners = GENERATE(1U, 2U, 3U, 100U, 1023U, 4000U);
  const unsigned workers = GENERATE(1U, 2U, 7U, 100U, 4000U);
  CAPTURE(listeners, workers);
  std::vector<int> ids;
  for (unsigned i = 1; i <= workers; ++i) ids.push_back(static_cast<int>(i));
  const Lent found = lend(numbers(listeners), ids);
  std::map<unsigned, std::size_t> copies;
  std::size_t most = 0;
  for (const auto& [id, its] : found) {
    most = std::max(most, its.size());
    for (const unsigned each : its) ++copies[each];
  }
  CHECK(copies.size() == listeners);
  std::size_t all = 0;
  for (const auto& [listener, count] : copies) all += count;
  CHECK(all <= std::max<std::size_t>(1024, listeners));
  CHECK(most <= (all + workers - 1) / workers);
  if (std::size_t{listeners} * workers <= 1024) CHECK(all == std::size_t{listeners} * workers);
}

TEST_CASE("nothing to lend, or nobody to lend to") {
  CHECK(lend({}, {1, 2}).empty());
  CHECK(lend({1, 2}, {}).empty());
}

}  // namespace baton::test
