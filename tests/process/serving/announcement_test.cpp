// Process tests. What baton says of itself when it starts, and how many workers it starts where nobody says.
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <set>

#include "master/system/cpus.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

bool contains(const std::vector<pid_t>& pids, pid_t pid) {
  return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

}  // namespace

TEST_CASE("the first line names the version, the address and the number of workers") {
  Baton baton({"-w", "3"});
  const std::string banner = baton.wait_for("listening on");
  const std::string wanted = fmt::format(" info master[{}] baton {} · listening on {} · 3 workers", baton.pid(),
                                         BATON_VERSION, baton.address());
  CAPTURE(banner, wanted);
  CHECK(banner.ends_with(wanted));
  CHECK(baton.address().starts_with("127.0.0.1:"));
  CHECK(baton.address() != "127.0.0.1:0");
}

TEST_CASE("a single worker is not many") {
  Baton baton({"-w", "1"});
  CHECK(baton.wait_for("listening on").ends_with("· 1 worker"));
}

TEST_CASE("each worker is announced with its number and pid, and answers with that pid") {
  Baton baton({"-w", "3"});
  std::set<int> numbers;
  for (const Worker& each : baton.workers()) {
    numbers.insert(each.number);
    CHECK(baton.wait_for(fmt::format("worker {} pid {} ready", each.number, each.pid)).find("master[") !=
          std::string::npos);
  }
  CHECK(numbers == std::set<int>{1, 2, 3});
  std::vector<pid_t> children = children_of(baton.pid());
  for (const pid_t each : baton.pids()) CHECK(contains(children, each));
  CHECK(children.size() == 3);
  for (int i = 0; i < 10; ++i) CHECK(contains(baton.pids(), answering_pid(baton.address())));
}

TEST_CASE("the answer is whole, and plain text") {
  Baton baton({"-w", "1"});
  Connection connection(baton.address());
  connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  const Response response = connection.read_response();
  CHECK(response.status == 200);
  CHECK(response.fields.at("content-type") == "text/plain");
  CHECK(response.body == fmt::format("pid is {}\n", baton.pids().front()));
}

TEST_CASE("nobody says how many workers: as many as there are usable CPUs") {
  Baton baton({});
  CHECK(baton.workers().size() == baton::usable_cpus());
}

TEST_CASE("nobody says how many workers, with one CPU to use: one") {
  Baton baton({}, {{}, {}, [] {
                     cpu_set_t mine;
                     CPU_ZERO(&mine);
                     ::sched_getaffinity(0, sizeof mine, &mine);
                     cpu_set_t one;
                     CPU_ZERO(&one);
                     for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
                       if (CPU_ISSET(cpu, &mine)) CPU_SET(cpu, &one);
                     ::sched_setaffinity(0, sizeof one, &one);
                   }});
  CHECK(baton.wait_for("listening on").ends_with("· 1 worker"));
  CHECK(baton.workers().size() == 1);
}

TEST_CASE("workers carry a name of their own") {
  Baton baton({"-w", "1"});
  CHECK(status_of(baton.pids().front(), "Name") == "baton-worker");
}
