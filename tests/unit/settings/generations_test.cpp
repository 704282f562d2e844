// Unit tests of which configuration is in force.
#include "master/settings/generations.hpp"

#include <utility>

#include "master/policy/policy.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

Generations::Pointer numbered(unsigned number, Generations::Groups listeners = {}) {
  auto made = std::make_shared<Generation>();
  made->number = number;
  made->listeners = std::move(listeners);
  return made;
}

TEST_CASE("generations: a reload's is in force at once, and the one before is kept until it is settled") {
  Generations generations;
  generations.begin(numbered(1));
  generations.replace(numbered(generations.next_number()));
  CHECK(generations.current()->number == 2);
  CHECK(generations.previous()->number == 1);
  CHECK(generations.settle()->number == 1);
  CHECK(generations.previous() == nullptr);
}

TEST_CASE("generations: one that failed makes way for the one before, and its number is never used again") {
  Generations generations;
  generations.begin(numbered(1));
  generations.replace(numbered(generations.next_number()));
  CHECK(generations.roll_back()->number == 2);
  CHECK(generations.current()->number == 1);
  CHECK(generations.previous() == nullptr);
  CHECK(generations.next_number() == 3);
}

TEST_CASE("generations: a listener that two of them name is there once") {
  ListenerAlarm alarm;
  const auto group = [&] {
    return std::make_shared<ListenerGroup>(NamedAddress{}, socket_policy(Policy::shared), alarm);
  };
  const auto kept = group();
  const auto dropped = group();
  const auto added = group();
  Generations generations;
  generations.begin(numbered(1, {kept, dropped}));
  generations.replace(numbered(2, {kept, added}));
  CHECK(generations.listeners() == std::set{kept, dropped, added});
  CHECK(listeners_without(*generations.current(), *generations.previous()) == Generations::Groups{added});
  CHECK(listeners_without(*generations.previous(), *generations.current()) == Generations::Groups{dropped});
}

}  // namespace
}  // namespace baton::test
