// Unit tests of counts, durations and sizes as people write them.
#include "common/units.hpp"

#include <array>
#include <limits>

#include "common/error.hpp"
#include "tests/support/catch/expect.hpp"

namespace baton::test {

using namespace std::chrono_literals;

TEST_CASE("a count is digits within its bounds") {
  CHECK(parse_count("1", 1, 10, "a thing") == 1);
  CHECK(parse_count("10", 1, 10, "a thing") == 10);
  CHECK(parse_count("007", 1, 10, "a thing") == 7);
  for (const char* text : {"", "0", "11", "-1", "+1", " 1", "1 ", "1.5", "0x1", "1k", "99999999999999999999999"}) {
    CAPTURE(text);
    const std::string message = message_of<UsageError>([&] { parse_count(text, 1, 10, "a thing"); });
    CHECK(message == "\"" + std::string(text) + "\" is not a thing (1 to 10)");
  }
}

TEST_CASE("a duration has a unit, or is seconds") {
  CHECK(parse_duration("30") == 30s);
  CHECK(parse_duration("0") == 0s);
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("30s") == 30s);
  CHECK(parse_duration("5m") == 5min);
  CHECK(parse_duration("1H") == 1h);
  CHECK(parse_duration("24d") == 24 * 24h);
  for (const char* text : {"", "s", "-1s", "1.5s", "1 s", "1y", "25d", "2147483648ms", "18446744073709551615d"}) {
    CAPTURE(text);
    const std::string message = message_of<UsageError>([&] { parse_duration(text); });
    CHECK(contains(message, "\"" + std::string(text) + "\" is not a duration (like 500ms"));
  }
  CHECK(parse_duration("2147483647ms").count() == std::numeric_limits<std::int32_t>::max());
}

TEST_CASE("a size has a unit, or is bytes") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("17b") == 17);
  CHECK(parse_size("16k") == 16'384);
  CHECK(parse_size("16KiB") == 16'384);
  CHECK(parse_size("1mb") == 1'048'576);
  CHECK(parse_size("2G") == 2'147'483'648);
  CHECK(parse_size("9223372036854775807") == 9'223'372'036'854'775'807);
  for (const char* text : {"", "k", "-1", "1.5m", "1t", "1 k", "9223372036854775808", "8589934592g"}) {
    CAPTURE(text);
    const std::string message = message_of<UsageError>([&] { parse_size(text); });
    CHECK(contains(message, "\"" + std::string(text) + "\" is not a size"));
  }
}

TEST_CASE("edit distance") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("abc", "abc") == 0);
}

TEST_CASE("the nearest word is near, or none") {
  constexpr std::array<std::string_view, 3> known{"workers", "listen", "port"};
  CHECK(nearest_word("worker", known) == "workers");
  CHECK(nearest_word("lisent", known) == "listen");
  CHECK(nearest_word("prot", known) == "port");
  CHECK(nearest_word("something else", known).empty());
  CHECK(nearest_word("", known).empty());
}

}  // namespace baton::test
