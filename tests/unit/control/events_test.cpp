// Unit tests of the events: who hears them, and what they bring.
#include "master/control/events.hpp"

#include <string>
#include <vector>

#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

TEST_CASE("an event brings its name, its time, its fields and a sentence") {
  Events events;
  std::vector<boost::json::object> heard;
  const auto subscription = events.subscribe([&](const boost::json::object& event) { heard.push_back(event); });
  events.tell("worker_ready", "worker 1 pid 7 ready", {{"worker", 1}});
  REQUIRE(heard.size() == 1);
  CHECK(heard.front().at("event") == "worker_ready");
  CHECK(heard.front().at("message") == "worker 1 pid 7 ready");
  CHECK(heard.front().at("worker") == 1);
  CHECK(heard.front().contains("time"));
}

TEST_CASE("a subscriber may end subscriptions while it hears, its own and the next one's") {
  Events events;
  std::string heard;
  std::unique_ptr<Events::Subscription> first;
  std::unique_ptr<Events::Subscription> second;
  first = events.subscribe([&](const boost::json::object&) {
    heard += '1';
    second.reset();
    first.reset();
  });
  second = events.subscribe([&](const boost::json::object&) { heard += '2'; });
  const auto third = events.subscribe([&](const boost::json::object&) { heard += '3'; });
  events.tell("a", "b");
  events.tell("a", "b");
  CHECK(heard == "133");
}

}  // namespace
}  // namespace baton::test
