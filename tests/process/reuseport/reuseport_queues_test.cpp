// Process tests. --policy reuseport: what waits in listeners whose workers have gone, and what is left over of them.
#include <csignal>
#include <filesystem>
#include <memory>

#include "tests/process/reuseport/reuseport.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

TEST_CASE("reuseport: a command's workers can't be made fewer where that would lose clients") {
  Baton baton(reuseport(with_foreign({"-w", "3"}, {"none"})));
  baton.workers();
  baton.signal(SIGTTOU);
  if (queues_migrate()) {
    baton.wait_for("scaled: 2 workers are ready");
    return;
  }
  CHECK(baton.wait_for("not scaled to 2 workers").find("net.ipv4.tcp_migrate_req=1 keeps them") != std::string::npos);
  const Outcome outcome = run_baton({"scale", "1", "--control", baton.control()});
  CHECK(outcome.end == "code 1");
  CHECK((outcome.output + outcome.errors).find("clients would be lost") != std::string::npos);
  CHECK(living(baton).size() == 3);
  scale(baton, 4);
  CHECK(shares(baton.address(), 100).size() == 4);
}

TEST_CASE("reuseport: with no worker connections wait in every listener, and one worker answers them all") {
  Baton baton(reuseport({"-w", "4"}));
  baton.workers();
  scale(baton, 0);
  REQUIRE(becomes_true([&] { return living(baton).empty(); }));
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 60; ++i) {
    waiting.push_back(std::make_unique<Connection>(baton.address()));
    waiting.back()->send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  }
  scale(baton, 1);
  std::set<pid_t> pids;
  for (const auto& each : waiting) pids.insert(pid_in(each->read_response()));
  CHECK(pids.size() == 1);
}

TEST_CASE("reuseport: the same where the kernel moves the queues of closed listeners") {
  if (queues_migrate()) return;  // as everything above has shown
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string prepare = "ip link set lo up && echo 1 >/proc/sys/net/ipv4/tcp_migrate_req";
  Program possible({{"unshare", "-rn", "sh", "-c", prepare}, {}, {}, {}});
  if (possible.wait_for_end() != "code 0") {
    WARN("NOT TESTED: no network namespace can be had, or there is no ip command in it");
    return;
  }
  Program program(
      {{"unshare", "-rn", "sh", "-c", prepare + " && exec \"$0\" \"$@\"", self,
        "reuseport: from 2*,reuseport: fewer*,reuseport: a command's*,reuseport: after*,reuseport: with no*,"
        "reuseport: reloads*"},
       {},
       {},
       {}});
  const auto end = program.try_wait_for_end(Deadline(50s));
  CAPTURE(program.output());
  CHECK(end.value_or("it did not end in time") == "code 0");
  CHECK(program.output().find("All tests passed") != std::string::npos);
}

TEST_CASE("reuseport: after 20 rounds of scaling nothing is left over") {
  Baton baton(reuseport({"-w", "2"}));
  baton.workers();
  for (int i = 0; i < programs::rounds(20); ++i) {
    scale(baton, 6);
    scale(baton, 2);
  }
  Baton fresh(reuseport({"-w", "2"}));
  fresh.workers();
  const auto has_more = [](pid_t one, pid_t other, std::size_t by) {
    return becomes_true([&] { return descriptors_of(one).size() == descriptors_of(other).size() + by; });
  };
  const std::size_t left = 4;  // the listeners of those that have gone: parked, and lent
  CHECK(has_more(baton.pid(), fresh.pid(), left));
  for (const pid_t each : baton.pids()) CHECK(has_more(each, fresh.pids().front(), left));
}

TEST_CASE("the policy is fixed, and what a reload brings is judged by the one in force") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  write_file(file, "workers = 2\nlisten = [\"127.0.0.1:0\"]\npolicy = \"reuseport\"\n");
  Baton baton({"-c", file});
  baton.workers();
  SECTION("the old one goes on") {
    write_file(file, "workers = 2\nlisten = [\"127.0.0.1:0\"]\npolicy = \"shared\"\n");
    reload(baton);
    CHECK(baton.log_has("policy: a change of this setting takes effect when baton is started again"));
    CHECK(becomes_true([&] { return living(baton).size() == 2 && each_holds(living(baton), 1); }));
    Inodes all;
    for (const pid_t each : living(baton)) all.merge(listeners_of(each));
    CHECK(all.size() == 2);
  }
  SECTION("it refuses what it can't have") {
    write_file(file, "workers = 2\nlisten = [\"unix:@x\"]\npolicy = \"shared\"\n");
    baton.signal(SIGHUP);
    const std::string line = baton.wait_for("reload refused");
    CHECK(line.find("reuseport is for TCP") != std::string::npos);
    CHECK(line.find("the policy stays reuseport until baton is started again") != std::string::npos);
  }
}
