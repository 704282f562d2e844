// Process tests. Workers that can't live: pauses between the starts, the breaker, and the way back.
#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <regex>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"
#include "tests/support/system/starvation.hpp"

using namespace baton::test;

namespace {

constexpr std::string_view breaker_opened = " error master[";
constexpr std::string_view breaker = "every worker fails: clients are refused until one gets ready";

/// The seconds in "…; a new one starts in 0.4 s", 0 in "…; a new one starts".
std::vector<double> pauses(Baton& baton, std::size_t count) {
  std::vector<double> found;
  for (const std::string& line : baton.program().wait_for("; a new one starts", count)) {
    std::smatch match;
    const bool has_pause = std::regex_search(line, match, std::regex("; a new one starts in ([0-9.]+) s$"));
    CHECK((has_pause || line.ends_with("; a new one starts")));
    found.push_back(has_pause ? std::stod(match[1]) : 0);
  }
  return found;
}

}  // namespace

TEST_CASE("a worker that can't live is started at once, and then after longer and longer pauses") {
  const std::vector<std::string> mode = GENERATE(values<std::vector<std::string>>({{"exit 0"}, {"exit 3"}, {"crash"}}));
  CAPTURE(mode);
  Baton baton(with_foreign({"-w", "1"}, mode));
  const std::vector<double> found = pauses(baton, 5);
  constexpr double rounding = 0.051;
  double full = 0.1;
  CHECK(found.front() == 0);
  for (std::size_t i = 1; i < found.size(); ++i, full *= 2) {
    CAPTURE(found, i);
    CHECK(found.at(i) >= full / 2 - rounding);
    CHECK(found.at(i) <= full + rounding);
  }
  CHECK(living_children_of(baton.pid()).size() <= 1);
}

TEST_CASE("every worker fails: clients are refused at once, until one is well again") {
  const std::string address = GENERATE(values<std::string>({"127.0.0.1:0", "[::1]:0", abstract_address()}));
  const Directory directory;
  const std::string cure = directory / "cure";
  Baton baton(with_foreign({"-w", "3", "-l", address}, {"needs", cure}));
  CHECK(baton.wait_for(breaker).find(breaker_opened) != std::string::npos);
  CHECK(is_refused(baton.address()));
  CHECK(baton.status().at("state") == "failing");
  // While one is tried, too.
  const std::size_t trials = baton.count("; a new one starts");
  while (baton.count("; a new one starts") < trials + 2) {
    CHECK(is_refused(baton.address()));
    baton.program().read_until([] { return false; }, Deadline(5ms));
  }
  CHECK(living_children_of(baton.pid()).size() <= 1);

  write_file(cure, "");
  baton.wait_for(fmt::format("a worker is ready: listening on {} again", baton.address()));
  answering_pid(baton.address());
  CHECK(answering_pids(baton.address(), 3).size() == 3);
  CHECK(baton.status().at("state") == "serving");
  Traffic traffic(baton.address(), Connections::fresh, 4);
  traffic.wait_for_answers(50);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

TEST_CASE("the breaker opens on several listeners, and closes on all of them") {
  const Directory directory;
  const std::string cure = directory / "cure";
  Baton baton(with_foreign({"-w", "2", "-l", "127.0.0.1:0", "-l", "unix:" + directory / "x.sock"}, {"needs", cure}));
  baton.wait_for(breaker);
  for (const std::string& each : baton.addresses()) CHECK(is_refused(each));
  write_file(cure, "");
  for (const std::string& each : baton.addresses()) {
    baton.wait_for("listening on " + each + " again");
    answering_pid(each);
  }
}

TEST_CASE("some workers that can't live do not keep the others from serving") {
  Baton baton({"-w", "3", "--", programs::odd_worker(), "nothing", programs::baton()});
  baton.wait_for("worker 2 pid");
  const auto kill_odd = [&] { ::kill(worker_in(baton.program().lines_with("worker 1 pid").back()).pid, SIGABRT); };
  Traffic traffic(baton.address(), Connections::kept, 4);
  for (std::size_t i = 1; i <= 5; ++i) {
    baton.program().wait_for("says \"begin\"", i);  // it holds the listener, and does not accept
    kill_odd();
    baton.program().wait_for("; a new one starts", i);
  }
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
  CHECK_FALSE(baton.log_has(breaker));
}

TEST_CASE("stopped while a worker's next start is waited for, it ends at once") {
  const int number = GENERATE(SIGTERM, SIGQUIT, SIGINT);
  Baton baton(with_foreign({"-w", "2"}, {"exit 3"}));
  pauses(baton, 10);  // by now they are longer than this may take
  ChargedTime stop({baton.pid()});
  baton.signal(number);
  CHECK(becomes_true([&] {
    static_cast<void>(stop.read());
    return baton.program().try_wait_for_end(Deadline(5ms)).has_value();
  }));
  CHECK(baton.program().wait_for_end() == "code 0");
  CHECK(stop.read().charged < 1s);
}

TEST_CASE("a command that is not there at the start ends baton, with code 1 and its name") {
  const Directory directory;
  const Outcome outcome = run_baton({"-l", "127.0.0.1:0", "--", directory / "none"});
  CHECK(outcome.end == "code 1");
  CHECK(outcome.errors.find(directory / "none") != std::string::npos);
}

TEST_CASE("a command that vanishes later is an error in the log, and is tried again until it is there") {
  const Directory directory;
  const std::string program = directory / "worker";
  std::filesystem::copy_file(programs::foreign_worker(), program);
  Baton baton({"-w", "1", "--", program, "none"});
  const Worker first = baton.workers().front();
  std::filesystem::rename(program, directory / "away");
  ::kill(first.pid, SIGKILL);
  const std::string line = baton.wait_for(" error master[");
  CHECK(line.find("worker 1: ") != std::string::npos);
  CHECK(line.find(program) != std::string::npos);
  baton.program().wait_for("worker 1: ", 3);
  std::filesystem::rename(directory / "away", program);
  const Worker second = baton.wait_for_successor(first);
  CHECK(answering_pid(baton.address()) == second.pid);
}

TEST_CASE("a worker's next start is shown by the status") {
  Baton baton(with_foreign({"-w", "1"}, {"exit 3"}));
  pauses(baton, 4);
  boost::json::object worker;
  CHECK(becomes_true([&] {
    worker = baton.status().at("workers").as_array().at(0).as_object();
    return worker.at("state") == "backing_off";
  }));
  CHECK(worker.at("pid").is_null());
  CHECK(worker.at("failures").as_int64() >= 4);
  CHECK(std::string(worker.at("note").as_string()).find("exited with code 3") != std::string::npos);
}

TEST_CASE("what a worker leaves behind in a session of its own, with the listener, ends when the worker has ended") {
  Baton baton(with_foreign({"-w", "2", "-l", "127.0.0.1:0"}, {"grandchildren", "1"}));
  baton.workers();
  const auto pid_after = [&](const std::string& word) {
    const std::string line = baton.wait_for(word);
    return static_cast<pid_t>(std::stoi(line.substr(line.find(word) + word.size())));
  };
  const pid_t child = pid_after("| child ");
  const pid_t grandchild = pid_after("grandchild ");
  const baton::Fd left = open_pidfd(child);
  const baton::Fd left_too = open_pidfd(grandchild);
  SECTION("killed") {
    ::kill(baton.latest()[1], SIGKILL);
    CHECK(has_ended(left));
    CHECK(has_ended(left_too));
    baton.wait_for(fmt::format("left baton_foreign_w pid {} behind", child));
    baton.wait_for(fmt::format("left baton_foreign_w pid {} behind", grandchild));
  }
  SECTION("replaced by a reload") {
    reload(baton);
    CHECK(has_ended(left));
    CHECK(has_ended(left_too));
  }
  SECTION("stopped") {
    CHECK(baton.stop(SIGTERM) == "code 0");
    CHECK(has_ended(left, Deadline(0ms)));
    CHECK(has_ended(left_too, Deadline(0ms)));
  }
}

TEST_CASE("a reload while every worker fails, with a trial under way that fails later, brings a worker that serves") {
  const Directory directory;
  const std::string cure = directory / "cure";
  const std::string script = fmt::format("if [ -e '{}' ]; then sleep 0.8; exec '{}' 'say ready'; fi; sleep 0.4; exit 1",
                                         cure, programs::foreign_worker());
  Baton baton({"-w", "1", "--ready", "message", "--log-level", "debug", "--", "sh", "-c", script});
  baton.wait_for("every worker fails");
  baton.wait_for_next(" spawned");
  write_file(cure, "");
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: done, 1 worker replaced");
  CHECK(becomes_true([&] { return baton.log_has("a worker is ready: listening on"); }));
  CHECK(answering_pid(baton.address()) == baton.latest()[1]);
}

TEST_CASE("children that baton's process had before it was baton are left alone") {
  const std::string script =
      fmt::format("sleep 300 & echo sidecar $! >&2; exec '{}' -l 127.0.0.1:0 -w 1", programs::baton());
  Program program({{"sh", "-c", script}, {}, {}, {}});
  const std::string line = program.wait_for("sidecar ");
  const baton::Fd sidecar = open_pidfd(std::atoi(line.c_str() + std::string_view("sidecar ").size()));
  program.wait_for(" ready");
  program.signal(SIGTERM);
  CHECK(program.wait_for_end() == "code 0");
  CHECK_FALSE(has_ended(sidecar, Deadline(0ms)));
  signal_process(sidecar, SIGKILL);
  CHECK(has_ended(sidecar));
  strays();
}
