// Unit tests of a number of workers, as a person writes it.
#include "master/settings/worker_count.hpp"

#include "common/error.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

TEST_CASE("a number of workers is so many, or so many more or fewer") {
  CHECK(parse_worker_count("8", 3) == 8);
  CHECK(parse_worker_count("0", 3) == 0);
  CHECK(parse_worker_count("+2", 3) == 5);
  CHECK(parse_worker_count("-1", 3) == 2);
  CHECK(parse_worker_count("-4", 3) == 0);
}

TEST_CASE("a number of workers that can't be is refused") {
  for (const char* each : {"", "+", "-", "many", "4097", "+-1", "1.5", "++1"})
    CHECK_THROWS_AS(parse_worker_count(each, 3), UsageError);
  CHECK_THROWS_AS(parse_worker_count("+4094", 3), UsageError);
  CHECK(parse_worker_count("+4093", 3) == 4096);
}

}  // namespace
}  // namespace baton::test
