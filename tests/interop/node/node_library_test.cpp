// Interop tests. The library's example program as the worker of a Node master.
#include <fmt/format.h>

#include <csignal>
#include <set>
#include <string>

#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/programs.hpp"

using namespace baton::test;

TEST_CASE("the library's example serves what a Node master sends, and they exchange messages") {
  if (!has_node()) return;
  const std::string what = GENERATE("server", "socket");
  CAPTURE(what);
  Program master({{"node", script("node/fork_master.js"), what, programs::example(), "2"}, {}, {}, {}});
  std::set<pid_t> pids;
  for (const std::string& each : master.wait_for(" started", 2))
    pids.insert(std::stoi(each.substr(std::string_view("child ").size())));
  for (const pid_t each : pids) master.wait_for(fmt::format("child {} says \"ready\"", each));
  constexpr std::string_view before = "all ready on ";
  const std::string address = master.wait_for(before).substr(before.size());
  CHECK(answering_pids(address, 2) == pids);
  master.signal(SIGUSR2);
  for (const pid_t each : pids)
    master.wait_for(fmt::format(R"(child {0} says {{"pid":{0},"heard":{{"hello":"world"}}}})", each));
  master.signal(SIGHUP);
  for (const pid_t each : pids) master.wait_for(fmt::format("child {} exited with 0 null", each));
  CHECK(master.wait_for_end() == "code 0");
  CHECK(strays() == std::vector<std::string>{});
  CHECK(master.errors().find("rror") == std::string::npos);
}
