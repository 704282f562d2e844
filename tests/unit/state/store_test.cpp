// Unit tests. The shared state: values, versions, times to live, limits.
#include "master/state/store.hpp"

#include <functional>
#include <limits>

#include "master/state/operation.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;
using namespace baton::state;

constexpr Moment noon{std::chrono::hours(12)};

/// Of what the store refuses; nothing where it does not.
std::optional<Refusal> store_refusal(const std::function<void()>& run) {
  try {
    run();
  } catch (const Refusal& refusal) {
    return refusal;
  }
  return std::nullopt;
}

Problem problem_of(const std::function<void()>& run) {
  const auto refusal = store_refusal(run);
  REQUIRE(refusal);
  return refusal->problem;
}

std::uint64_t put(Store& store, const std::string& key, const std::string& value, Condition condition = {}) {
  return store.put(key, value, condition, std::nullopt, noon).version;
}

class FullDisk final : public Journal {
 public:
  void write(const Change&) override { throw Refusal(Problem::broken, "the disk is full"); }
};

}  // namespace

TEST_CASE("a value is what was put, with the version of its last change, and versions are never given twice") {
  Store store;
  CHECK(problem_of([&] { static_cast<void>(store.get("a", noon)); }) == Problem::missing);
  CHECK(put(store, "a", "1") == 1);
  CHECK(put(store, "b", R"({"x":2})") == 2);
  CHECK(put(store, "a", "3") == 3);
  CHECK(store.get("a", noon).value == "3");
  CHECK(store.get("a", noon).version == 3);
  CHECK(store.remove("a", {}, noon) == 4);
  CHECK(put(store, "a", "5") == 5);
  CHECK(store.size() == 2);
  CHECK(store.bytes() == 1 + 1 + 1 + 7);
}

TEST_CASE("of a condition on the version, the refusal says which it has") {
  Store store;
  put(store, "a", "1", {0});
  const auto exists = store_refusal([&] { put(store, "a", "2", {0}); });
  REQUIRE(exists);
  CHECK(exists->problem == Problem::conflict);
  CHECK(exists->version == 1);
  CHECK(put(store, "a", "2", {1}) == 2);
  CHECK(problem_of([&] { put(store, "a", "3", {1}); }) == Problem::conflict);
  CHECK(problem_of([&] { put(store, "none", "3", {1}); }) == Problem::conflict);
  CHECK(problem_of([&] { store.remove("a", {1}, noon); }) == Problem::conflict);
  CHECK(store.get("a", noon).value == "2");
  CHECK(store.remove("a", {2}, noon) == 3);
}

TEST_CASE("adding returns the sum, begins at 0, and refuses what is no number or would not fit") {
  Store store;
  CHECK(store.add("n", 5, std::nullopt, noon).value == "5");
  CHECK(store.add("n", -7, std::nullopt, noon).value == "-2");
  put(store, "text", "\"5\"");
  put(store, "half", "0.5");
  put(store, "most", "9223372036854775807");
  CHECK(problem_of([&] { store.add("text", 1, std::nullopt, noon); }) == Problem::malformed);
  CHECK(problem_of([&] { store.add("half", 1, std::nullopt, noon); }) == Problem::malformed);
  CHECK(problem_of([&] { store.add("most", 1, std::nullopt, noon); }) == Problem::too_large);
  CHECK(store.get("most", noon).value == "9223372036854775807");
}

TEST_CASE("what has a time to live is gone at its end, is told of then, and a new value has none") {
  Store store;
  std::vector<std::string> deleted;
  store.on_change([&](const Change& change) {
    if (!change.entry) deleted.push_back(change.key);
  });
  store.put("a", "1", {}, 100ms, noon);
  store.put("b", "1", {}, 50ms, noon);
  store.add("n", 1, 80ms, noon);
  store.add("n", 1, std::nullopt, noon);  // its time goes on
  CHECK(store.deadline() == noon + 50ms);
  CHECK(store.get("a", noon + 99ms).value == "1");
  CHECK(problem_of([&] { static_cast<void>(store.get("a", noon + 100ms)); }) == Problem::missing);
  CHECK(deleted == std::vector<std::string>{"a"});
  CHECK(store.list("", "", 10, noon + 60ms).entries.size() == 1);
  store.put("b", "2", {}, std::nullopt, noon + 10ms);
  store.expire(noon + 79ms);
  CHECK(store.size() == 2);
  store.expire(noon + 80ms);
  CHECK(deleted == std::vector<std::string>{"a", "n"});
  CHECK_FALSE(store.deadline());
  CHECK(store.get("b", noon + 1h).value == "2");
}

TEST_CASE("limits on key, value, number and all together, and what is refused changes nothing") {
  Store store(Limits{.key = 4, .value = 6, .keys = 2, .total = 16});
  CHECK(problem_of([&] { put(store, "", "1"); }) == Problem::malformed);
  CHECK(problem_of([&] { put(store, "a\nb", "1"); }) == Problem::malformed);
  CHECK(problem_of([&] { put(store, "abcde", "1"); }) == Problem::too_large);
  CHECK(problem_of([&] { put(store, "a", "1234567"); }) == Problem::too_large);
  put(store, "abcd", "123456");
  CHECK(problem_of([&] { put(store, "b", "123456"); }) == Problem::too_large);
  put(store, "b", "12345");
  CHECK(store.bytes() == 16);
  CHECK(problem_of([&] { put(store, "c", "1"); }) == Problem::too_large);
  put(store, "b", "1");
  CHECK(store.bytes() == 12);
  store.remove("b", {}, noon);
  put(store, "c", "1");
  CHECK(store.size() == 2);
}

TEST_CASE("a list has the keys of a prefix in order, page by page") {
  Store store;
  for (const char* each : {"b", "a/3", "a/1", "a/2", "a", "c"}) put(store, each, "0");
  const auto keys = [&](std::string_view prefix, std::string_view after, std::size_t most) {
    const Store::Page page = store.list(prefix, after, most, noon);
    std::string all;
    for (const auto& [key, entry] : page.entries) all += key + " ";
    return all + (page.has_more ? "more" : "");
  };
  CHECK(keys("", "", 10) == "a a/1 a/2 a/3 b c ");
  CHECK(keys("a/", "", 10) == "a/1 a/2 a/3 ");
  CHECK(keys("a/", "", 2) == "a/1 a/2 more");
  CHECK(keys("a/", "a/2", 2) == "a/3 ");
  CHECK(keys("x", "", 10).empty());
}

TEST_CASE("what the journal can't write does not hold") {
  Store store;
  put(store, "a", "1");
  FullDisk disk;
  store.set_journal(&disk);
  CHECK(problem_of([&] { put(store, "a", "2"); }) == Problem::broken);
  CHECK(problem_of([&] { store.remove("a", {}, noon); }) == Problem::broken);
  CHECK(problem_of([&] { store.add("n", 1, std::nullopt, noon); }) == Problem::broken);
  CHECK(store.get("a", noon).value == "1");
  CHECK(store.size() == 1);
  store.set_journal(nullptr);
  CHECK(put(store, "a", "2") == 2);
}

TEST_CASE("an operation says what is wrong with it") {
  const auto refused = [](std::string_view verb, const boost::json::object& message) {
    const auto refusal = store_refusal([&] { static_cast<void>(operation_of(verb, message)); });
    return refusal ? std::string(refusal->what()) : "";
  };
  CHECK_FALSE(operation_of("dance", {}));
  CHECK(refused("put", {{"key", "a"}}) == "there is no \"value\" to put");
  CHECK(refused("get", {{"key", 5}}) == "\"key\" is no string");
  CHECK(refused("put", {{"key", "a"}, {"value", 1}, {"version", -1}}) == "\"version\" is no whole number from 0 on");
  CHECK(refused("put", {{"key", "a"}, {"value", 1}, {"ttl", "1s"}}) == "\"ttl\" is no whole number from 1 on");
  CHECK(refused("put", {{"key", "a"}, {"value", 1}, {"ttl", 0}}) == "\"ttl\" is no whole number from 1 on");
  CHECK(refused("list", {{"limit", 0}}) == "\"limit\" is no whole number from 1 on");
  CHECK(refused("put", {{"key", "a"}, {"value", 1}, {"ttl", std::numeric_limits<std::int64_t>::max()}}) ==
        "\"ttl\" is over 100 years");
  CHECK(refused("add", {{"key", "a"}, {"amount", 0.5}}) == "\"amount\" is no whole number");
  const auto operation = operation_of("add", {{"key", "a"}, {"amount", -3}, {"ttl", 5}});
  REQUIRE(operation);
  CHECK(operation->amount == -3);
  CHECK(operation->time_to_live == 5ms);
}

TEST_CASE("answers and changes are members of JSON objects") {
  Store store;
  const auto asked = [&](std::string_view verb, const boost::json::object& message) {
    std::string answer;
    carry_out(store, *operation_of(verb, message), noon, answer);
    return answer;
  };
  CHECK(asked("put", {{"key", "a\"b"}, {"value", {{"x", 1}}}}) == R"("version":1)");
  CHECK(asked("get", {{"key", "a\"b"}}) == R"("key":"a\"b","value":{"x":1},"version":1)");
  CHECK(asked("add", {{"key", "n"}}) == R"("value":1,"version":2)");
  CHECK(asked("list", {{"limit", 1}}) == R"("entries":[{"key":"a\"b","value":{"x":1},"version":1}],"more":true)");
  CHECK(asked("delete", {{"key", "n"}}) == R"("version":3)");
  CHECK(describe(Change{"k", std::nullopt, 7}) == R"("key":"k","deleted":true,"version":7)");
  CHECK(describe(Refusal(Problem::conflict, "no", 4)) == R"("code":"conflict","error":"no","version":4)");
}

}  // namespace baton::test
