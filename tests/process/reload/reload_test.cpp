// Process tests. Reload by HUP: every worker replaced and no client the wiser; wrong configurations refused whole; new
// ones that can't live rolled back.
#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// Counts the living children of a process all the time.
class ChildCounter {
 public:
  explicit ChildCounter(pid_t pid) {
    thread_ = std::jthread([this, pid](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        most_ = std::max<std::size_t>(most_, living_children_of(pid).size());
        std::this_thread::sleep_for(1ms);
      }
    });
  }
  std::size_t most() {
    thread_.request_stop();
    thread_.join();
    return most_;
  }

 private:
  std::atomic<std::size_t> most_ = 0;
  std::jthread thread_;
};

std::map<std::string, int> descriptor_kinds(pid_t pid) {
  std::map<std::string, int> kinds;
  for (const auto& [number, what] : descriptors_of(pid)) ++kinds[what.substr(0, what.find('['))];
  return kinds;
}

std::set<pid_t> living(const Baton& baton) {
  std::set<pid_t> pids;
  for (const auto& [number, pid] : baton.latest()) pids.insert(pid);
  return pids;
}

}  // namespace

TEST_CASE("20 reloads under 32 clients that send as fast as they can: no request fails") {
  Baton baton({"-w", "4"});
  const std::vector<pid_t> before = baton.pids();
  Traffic fresh(baton.address(), Connections::fresh);
  Traffic kept(baton.address(), Connections::kept);
  const int reloads = programs::rounds(20);
  for (int i = 1; i <= reloads; ++i) {
    baton.signal(SIGHUP);
    baton.wait_for(fmt::format("reload {}: done, 4 workers replaced", i));
  }
  for (Traffic* each : {&fresh, &kept}) {
    const Tally tally = each->stop();
    CAPTURE(tally);
    CHECK(tally.failed() == 0);
    CHECK(tally.pids.size() > static_cast<std::size_t>(reloads));
  }
  CHECK(baton.count("reload 4: begins, 4 workers") == 1);
  CHECK(baton.status().at("reloads").as_int64() == reloads);
  CHECK(baton.status().at("restarts").as_int64() == 0);
  for (const pid_t each : before) CHECK_FALSE(living(baton).contains(each));
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("a reload replaces --surge workers at a time, on Unix sockets as well") {
  const Directory directory;
  Baton baton({"-w", "4", "--surge", "4", "-l", "unix:" + directory / "x.sock"});
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh, 8);
  Traffic kept(baton.address(), Connections::kept, 8);
  reload(baton, 10);
  for (Traffic* each : {&fresh, &kept}) {
    const Tally tally = each->stop();
    CAPTURE(tally);
    CHECK(tally.failed() == 0);
  }
}

TEST_CASE(
    "reloads asked for during a reload become one that follows, and never are there more than twice the workers") {
  Baton baton({"-w", "4", "--surge", "4"});
  baton.workers();
  // These hold the old workers up, each for the half second that a kept connection has.
  std::vector<std::unique_ptr<Connection>> resting;
  for (int i = 0; i < 8; ++i) {
    resting.push_back(std::make_unique<Connection>(baton.address()));
    resting.back()->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    pid_in(resting.back()->read_response());
  }
  ChildCounter children(baton.pid());
  constexpr int asked = 300;
  for (int i = 0; i < asked; ++i) {
    baton.signal(SIGHUP);
    baton.program().read_until([] { return false; }, Deadline(2ms));
  }
  baton.wait_for("another reload follows the one under way");
  CHECK(baton.program().read_until(
      [&] { return baton.count(": begins, ") == baton.count(": done, ") && baton.status().at("state") == "serving"; }));
  baton.program().wait_for(" has finished", 4);
  const std::size_t most = children.most();
  CHECK(most > 4);
  CHECK(most <= 8);
  CHECK(baton.count(": done, ") < asked);
}

TEST_CASE("a configuration that is wrong is refused as a whole, and everything stays as it was") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  const std::string right = "workers = 2\nlisten = [\"127.0.0.1:0\"]\n";
  write_file(file, right);
  Baton baton({"-c", file});
  const std::vector<pid_t> before = baton.pids();
  struct Row {
    std::string text;
    std::string named;
  };
  const std::vector<Row> rows{
      {"workers = 8\nwokers = 2\n", "wokers"},
      {"workers = 8\nlisten = [\"nowhere\"]\n", "nowhere"},
      {"workers = 8\ndrain-timeout = \"soon\"\n", "soon"},
      {"workers = 8\nlisten = [\"127.0.0.1:0\", \"192.0.2.1:80\"]\n", "192.0.2.1:80"},  // nobody's address
      {"workers = 8\nlisten = [\"127.0.0.1:0\", \"" + baton.address() + "\"]\n", baton.address()},
      {"workers = [\n", ""},
  };
  Traffic traffic(baton.address(), Connections::fresh, 2);
  std::size_t refused = 0;
  for (const Row& each : rows) {
    CAPTURE(each.text);
    write_file(file, each.text);
    baton.signal(SIGHUP);
    const std::string line = baton.program().wait_for("reload refused: ", ++refused).back();
    CHECK(line.find(" error master[") != std::string::npos);
    CHECK(line.find(each.named) != std::string::npos);
  }
  std::filesystem::remove(file);
  baton.signal(SIGHUP);
  baton.program().wait_for("reload refused: ", ++refused);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
  CHECK(tally.pids == std::set<pid_t>(before.begin(), before.end()));
  CHECK(living_children_of(baton.pid()).size() == 2);
  CHECK(baton.status().at("target").as_int64() == 2);

  write_file(file, right);
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: done, 2 workers replaced");  // refused ones have no number
}

TEST_CASE("a reload takes over what has changed: the number of workers, their settings, the level of the log") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  write_file(file, "workers = 1\nlisten = [\"127.0.0.1:0\"]\n");
  Baton baton({"-c", file});
  baton.workers();
  write_file(file, "workers = 3\nlisten = [\"127.0.0.1:0\"]\nmax-header = 256\nlog-level = \"debug\"\n");
  reload(baton);
  CHECK(answering_pids(baton.address(), 3).size() == 3);
  Connection large(baton.address());
  large.send("GET / HTTP/1.1\r\nHost: test\r\nX: " + std::string(300, 'x') + "\r\n\r\n");
  CHECK(large.read_response().status == 431);
  CHECK(baton.log_has(" debug master["));
  write_file(file, "workers = 2\nlisten = [\"127.0.0.1:0\"]\n");
  reload(baton);
  CHECK(becomes_true([&] { return living_children_of(baton.pid()).size() == 2; }));
}

TEST_CASE("a reload whose new workers can't live is rolled back, and the old ones go on") {
  const std::string broken = GENERATE("exit 3", "exit 0", "crash", "never ready", "vanished");
  CAPTURE(broken);
  const Directory directory;
  const std::string program = directory / "worker";
  const auto install = [&](const std::string& text) {
    write_file(program + ".new", "#!/bin/sh\n" + text + "\n");
    std::filesystem::permissions(program + ".new", std::filesystem::perms::owner_all);
    std::filesystem::rename(program + ".new", program);
  };
  const std::string good = fmt::format("exec '{}' 'say ready'", programs::foreign_worker());
  install(good);
  Baton baton({"-w", "3", "--ready", "message", "--ready-timeout", "1500ms", "--", program});
  const std::vector<pid_t> before = baton.pids();
  Traffic traffic(baton.address(), Connections::fresh, 4);
  traffic.wait_for_answers(20);
  if (broken == "vanished")
    std::filesystem::remove(program);
  else
    install(fmt::format("exec '{}' '{}'", programs::foreign_worker(), broken));
  baton.signal(SIGHUP);
  const std::string line = baton.wait_for("reload 1: failed: ");
  CHECK(line.find(" error master[") != std::string::npos);
  traffic.wait_for_answers(20);
  {
    const Tally tally = traffic.stop();
    CAPTURE(tally);
    CHECK(tally.failed() == 0);
  }
  CHECK(living(baton) == std::set<pid_t>(before.begin(), before.end()));
  CHECK(answering_pids(baton.address(), 3) == living(baton));
  CHECK(baton.status().at("state") == "serving");

  install(good);
  reload(baton);
  CHECK(answering_pids(baton.address(), 3) == living(baton));
  for (const pid_t each : before) CHECK_FALSE(living(baton).contains(each));
}

TEST_CASE("a reload that fails on its way gives back the old configuration to those who were replaced already") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  const std::string listen = "workers = 3\nlisten = [\"127.0.0.1:0\"]\n";
  write_file(file, listen + "max-header = 512\n");
  // Worker 3 never gets ready where the file says so.
  const std::string script =
      fmt::format("if [ $BATON_WORKER = 3 ] && grep -q 256 '{}'; then exit 7; fi; exec '{}' none", file,
                  programs::foreign_worker());
  Baton baton({"-c", file, "--", "sh", "-c", script});
  baton.workers();
  const Worker third{3, baton.latest()[3]};
  write_file(file, listen + "max-header = 256\n");
  Traffic traffic(baton.address(), Connections::fresh, 4);
  baton.signal(SIGHUP);
  const std::string line = baton.wait_for("reload 1: failed: ");
  CHECK(line.find("worker 3 pid ") != std::string::npos);
  CHECK(line.find("exited with code 7 before it was ready") != std::string::npos);
  CHECK(becomes_true([&] {
    const boost::json::object status = baton.status();
    for (const auto& each : status.at("workers").as_array()) {
      const auto& worker = each.as_object();
      if (worker.at("generation").as_int64() != 1 || worker.at("state") != "ready") return false;
    }
    return true;
  }));
  CHECK(living_children_of(baton.pid()).size() == 3);
  CHECK(baton.latest()[3] == third.pid);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

TEST_CASE("100 reloads leave the master as it was: its descriptors, its memory, its children") {
  Baton baton({"-w", "2", "--surge", "2"});
  baton.workers();
  const auto kinds = descriptor_kinds(baton.pid());
  const auto settled = [&] { return children_of(baton.pid()).size() == 2 && descriptor_kinds(baton.pid()) == kinds; };
  reload(baton, programs::rounds(20));  // by now it has allocated what it needs
  CHECK(becomes_true(settled));
  const std::uint64_t memory = resident_memory(baton.pid());
  reload(baton, programs::rounds(100));
  CHECK(becomes_true(settled));
  // The sanitizer keeps freed memory for a while, to catch its use.
  if (!programs::are_sanitized()) CHECK(resident_memory(baton.pid()) <= memory + 256 * 1024);
}

TEST_CASE("stopped during a reload, it stops, and leaves nothing") {
  const int number = GENERATE(SIGTERM, SIGQUIT, SIGINT);
  Baton baton({"-w", "4"});
  baton.workers();
  Traffic traffic(baton.address(), Connections::kept, 4);
  traffic.wait_for_answers(20);
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: begins");
  CHECK(baton.stop(number) == "code 0");
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.count(Fate::empty) == 0);
  CHECK(tally.count(Fate::malformed) == 0);
  CHECK(tally.count(Fate::timed_out) == 0);
}

TEST_CASE("stopped during a reload whose new worker never gets ready, it stops at once") {
  const Directory directory;
  const std::string slow = directory / "slow";
  Baton baton({"-w", "2", "--", "sh", "-c",
               fmt::format("if [ -e '{}' ]; then exec tail -f /dev/null; fi; exec '{}' none", slow,
                           programs::foreign_worker())});
  baton.workers();
  write_file(slow, "");
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: begins");
  CHECK(becomes_true([&] { return living_children_of(baton.pid()).size() == 3; }));
  CHECK(baton.stop(SIGTERM) == "code 0");
}

TEST_CASE("a reload finds all workers dead and brings new ones") {
  const Directory directory;
  const std::string cure = directory / "cure";
  Baton baton(with_foreign({"-w", "2"}, {"needs", cure}));
  baton.wait_for("every worker fails");
  write_file(cure, "");
  baton.program().read_until([&] { return baton.log_has("; a new one starts in 0.4 s"); }, Deadline(100ms));
  reload(baton);
  CHECK(answering_pids(baton.address(), 2).size() == 2);
  CHECK(baton.status().at("state") == "serving");
}
