// Unit tests. Lines of the log that a worker may cause.
#include "master/process/rate_limit.hpp"

#include "tests/support/catch/catch.hpp"

using namespace baton;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint start{1h};

int granted_of(RateLimit& rate_limit, int asked, TimePoint at) {
  int granted = 0;
  for (int i = 0; i < asked; ++i) granted += rate_limit.ask(at) == RateLimit::Answer::granted ? 1 : 0;
  return granted;
}

}  // namespace

TEST_CASE("a burst is logged whole, of a flood the beginning and then so much a second") {
  RateLimit rate_limit;
  CHECK(granted_of(rate_limit, 1000, start) == 1000);
  CHECK(granted_of(rate_limit, 50, start) == 0);
  CHECK(rate_limit.take_refused() == 50);
  CHECK(granted_of(rate_limit, 1000, start + 2s) == 200);
  CHECK(granted_of(rate_limit, 5000, start + 1h) == 1000);
}

TEST_CASE("the first refusal is told apart, once until its count was taken") {
  RateLimit rate_limit;
  granted_of(rate_limit, 1000, start);
  CHECK(rate_limit.ask(start) == RateLimit::Answer::refused_first);
  CHECK(rate_limit.ask(start) == RateLimit::Answer::refused);
  CHECK(rate_limit.take_refused() == 2);
  CHECK(rate_limit.ask(start) == RateLimit::Answer::refused_first);
}
