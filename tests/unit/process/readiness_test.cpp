// Unit tests. When a worker counts as ready, by each of the four kinds of readiness.
#include "master/process/readiness.hpp"

#include "tests/support/catch/catch.hpp"

using namespace baton;

namespace {

constexpr Readiness all_kinds[] = {Readiness::message, Readiness::handle, Readiness::notify, Readiness::accepts};

/// One sign alone.
ReadinessSigns with(bool ReadinessSigns::*sign) {
  ReadinessSigns signs;
  signs.*sign = true;
  return signs;
}

ReadinessSigns of_cluster(bool listens) {
  ReadinessSigns signs;
  signs.listens = listens;
  return signs;
}

}  // namespace

TEST_CASE("by message a worker is ready when it says so, and by nothing else") {
  CHECK_FALSE(is_ready(Readiness::message, {}));
  CHECK(is_ready(Readiness::message, with(&ReadinessSigns::said_ready)));
  CHECK_FALSE(is_ready(Readiness::message, with(&ReadinessSigns::said_hello)));
  CHECK_FALSE(is_ready(Readiness::message, with(&ReadinessSigns::notified_ready)));
  CHECK_FALSE(is_ready(Readiness::message, with(&ReadinessSigns::accepts)));
  CHECK_FALSE(is_ready(Readiness::message, of_cluster(true)));
}

TEST_CASE("by handle a worker is ready when it owes no answer, unless it has said hello and is to speak first") {
  CHECK(is_ready(Readiness::handle, {}));
  ReadinessSigns knows_baton = with(&ReadinessSigns::said_hello);
  CHECK_FALSE(is_ready(Readiness::handle, knows_baton));
  knows_baton.said_ready = true;
  CHECK(is_ready(Readiness::handle, knows_baton));
}

TEST_CASE("by handle a worker of Node's cluster is ready when it listens on all that it has asked for") {
  CHECK_FALSE(is_ready(Readiness::handle, of_cluster(false)));
  CHECK(is_ready(Readiness::handle, of_cluster(true)));
  ReadinessSigns talks = of_cluster(false);
  talks.said_ready = true;
  CHECK_FALSE(is_ready(Readiness::handle, talks));
}

TEST_CASE("by notify a worker is ready when it notifies, and by nothing else") {
  CHECK_FALSE(is_ready(Readiness::notify, {}));
  CHECK(is_ready(Readiness::notify, with(&ReadinessSigns::notified_ready)));
  CHECK_FALSE(is_ready(Readiness::notify, with(&ReadinessSigns::said_ready)));
  CHECK_FALSE(is_ready(Readiness::notify, with(&ReadinessSigns::accepts)));
}

TEST_CASE("by accepts a worker is ready when it is seen to accept, or says so in one way or the other") {
  CHECK_FALSE(is_ready(Readiness::accepts, {}));
  CHECK(is_ready(Readiness::accepts, with(&ReadinessSigns::accepts)));
  CHECK(is_ready(Readiness::accepts, with(&ReadinessSigns::said_ready)));
  CHECK(is_ready(Readiness::accepts, with(&ReadinessSigns::notified_ready)));
  ReadinessSigns knows_baton = with(&ReadinessSigns::accepts);
  knows_baton.said_hello = true;
  CHECK_FALSE(is_ready(Readiness::accepts, knows_baton));
  knows_baton.said_ready = true;
  CHECK(is_ready(Readiness::accepts, knows_baton));
}

TEST_CASE("no worker is ready that owes an answer, whatever else it has shown") {
  ReadinessSigns signs{true, true, true, true, true, true};
  for (const Readiness each : all_kinds) {
    INFO("ready by " << name(each));
    CHECK_FALSE(is_ready(each, signs));
  }
  signs.owes_answer = false;
  for (const Readiness each : all_kinds) {
    INFO("ready by " << name(each));
    CHECK(is_ready(each, signs));
  }
}
