// Process tests. Worn-out workers are replaced, the successor first: no client notices.
#include <fmt/format.h>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

TEST_CASE("replaced every 50 requests under 32 clients that send as fast as they can: no request fails") {
  Baton baton({"-w", "4", "--max-requests", "50"});
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh);
  Traffic kept(baton.address(), Connections::kept);
  const std::size_t enough = programs::are_sanitized() ? 8 : 60;  // there, a worker takes long to start
  std::size_t most = 0;
  CHECK(baton.program().read_until([&] {
    most = std::max(most, living_children_of(baton.pid()).size());
    return baton.count(" requests and is replaced") >= enough;
  }));
  check_unharmed(fresh);
  check_unharmed(kept);
  CHECK(most <= 8);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("the number of requests is lessened by a tenth at most") {
  Baton baton({"-w", "1", "--max-requests", "50"});
  const Worker first = baton.workers().front();
  int answered = 0;
  while (answering_pid(baton.address()) == first.pid && answered < 1000) ++answered;
  CHECK(answered >= 45);
  const std::string line = baton.wait_for(" requests and is replaced");
  CHECK(line.find(fmt::format(" info master[{}] worker 1 pid {} has answered ", baton.pid(), first.pid)) !=
        std::string::npos);
  baton.wait_for(fmt::format("worker 1 pid {} has finished", first.pid));
}

TEST_CASE("replaced after its lifetime, whoever it is, under clients: no request fails") {
  const bool is_foreign = GENERATE(false, true);
  CAPTURE(is_foreign);
  std::vector<std::string> arguments{"-w", "2", "--max-lifetime", "500ms"};
  if (is_foreign) arguments = with_foreign(arguments, {"none"});
  Baton baton(arguments);
  baton.workers();
  Traffic traffic(baton.address(), is_foreign ? Connections::fresh : Connections::kept, 4);
  const std::string line = baton.wait_for(" and is replaced");
  CHECK(line.find(" has lived for ") != std::string::npos);
  baton.program().wait_for(" and is replaced", 4);
  baton.program().wait_for(" has finished", 4);
  check_unharmed(traffic);
}

TEST_CASE("replaced for its memory, the successor first") {
  Baton baton({"-w", "1", "--max-memory", "1m"});  // less than any has
  const Worker first = baton.workers().front();
  Traffic traffic(baton.address(), Connections::kept, 2);
  const std::string line = baton.wait_for(" MiB of memory and is replaced");
  CHECK(line.find(fmt::format("worker 1 pid {} holds ", first.pid)) != std::string::npos);
  const Worker second = baton.wait_for_successor(first);
  baton.wait_for(fmt::format("worker 1 pid {} has finished", first.pid));
  CHECK(second.pid != first.pid);
  check_unharmed(traffic);
}

TEST_CASE("within its limits nobody is replaced") {
  Baton baton({"-w", "2", "--max-requests", "100000000", "--max-lifetime", "1h", "--max-memory", "1g"});
  baton.workers();
  Traffic traffic(baton.address(), Connections::kept, 4);
  CHECK_FALSE(baton.program().read_until([&] { return baton.log_has("replaced"); }, Deadline(1200ms)));
  check_unharmed(traffic);
}
