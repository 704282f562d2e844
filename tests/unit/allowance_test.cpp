// Unit tests. Lines of the log that a worker may cause.
#include "master/allowance.hpp"

#include "tests/support/catch.hpp"

using namespace baton;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint allowance_start{1h};

int granted_of(Allowance& allowance, int asked, TimePoint at) {
  int granted = 0;
  for (int i = 0; i < asked; ++i) granted += allowance.ask(at) == Allowance::Answer::granted ? 1 : 0;
  return granted;
}

}  // namespace

TEST_CASE("a burst is logged whole, of a flood the beginning and then so much a second") {
  Allowance allowance;
  CHECK(granted_of(allowance, 1000, allowance_start) == 1000);
  CHECK(granted_of(allowance, 50, allowance_start) == 0);
  CHECK(allowance.take_refused() == 50);
  CHECK(granted_of(allowance, 1000, allowance_start + 2s) == 200);
  CHECK(granted_of(allowance, 5000, allowance_start + 1h) == 1000);
}

TEST_CASE("the first refusal is told apart, once until its count was taken") {
  Allowance allowance;
  granted_of(allowance, 1000, allowance_start);
  CHECK(allowance.ask(allowance_start) == Allowance::Answer::refused_first);
  CHECK(allowance.ask(allowance_start) == Allowance::Answer::refused);
  CHECK(allowance.take_refused() == 2);
  CHECK(allowance.ask(allowance_start) == Allowance::Answer::refused_first);
}
