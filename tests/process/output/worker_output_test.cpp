// Process tests. What a command's workers write: with their names in front, raw, or in a file; and a reader that
// sleeps.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <csignal>
#include <filesystem>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

using Words = std::vector<std::string>;

Words with_shell(Words arguments, const std::string& script) {
  arguments.insert(arguments.end(), {"--", "sh", "-c", R"(echo '{"cmd":"NODE_HANDLE_ACK"}' >&3; )" + script});
  return arguments;
}

const std::string wait_on = "exec tail -f /dev/null";

bool holds(const std::string& path, const std::string& part) {
  return read_file(path).find(part) != std::string::npos;
}

bool writes(Baton& baton, const std::string& text) {
  return baton.program().read_until([&] { return baton.program().output().find(text) != std::string::npos; });
}

std::string front(const Worker& worker) {
  return fmt::format("worker {} pid {} | ", worker.number, worker.pid);
}

}  // namespace

TEST_CASE("each line has its worker and pid in front, on the stream that it was written to") {
  Baton baton(with_shell({"-w", "2"}, "echo to output; echo to errors >&2; " + wait_on));
  for (const Worker& each : baton.workers()) {
    CHECK(writes(baton, front(each) + "to output\n"));
    CHECK(baton.wait_for(front(each)) == front(each) + "to errors");
  }
  CHECK(baton.program().errors().find("to output") == std::string::npos);
  CHECK(baton.program().output().find("to errors") == std::string::npos);
}

TEST_CASE("a worker's standard streams are pipes of its own, which no other worker holds") {
  Baton baton(with_shell({"-w", "2"}, wait_on));
  std::map<std::string, int> holders;
  for (const pid_t each : baton.pids()) {
    // The shell itself turns a stream elsewhere for each of its own redirections.
    REQUIRE(becomes_true([&] { return command_line(each).starts_with("tail"); }));
    const auto descriptors = descriptors_of(each);
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      CHECK(descriptors.at(stream).starts_with("pipe:["));
      ++holders[descriptors.at(stream)];
    }
  }
  CHECK(holders.size() == 4);
}

TEST_CASE("the last words of a worker come before the news of its death, also without a newline") {
  Baton baton(with_shell({"-w", "1"}, "echo first >&2; printf 'the last words' >&2; kill -SEGV $$"));
  baton.wait_for("was killed by SIGSEGV");
  const std::string& log = baton.program().errors();
  CHECK(log.find("| first\n") < log.find("| the last words\n"));
  CHECK(log.find("| the last words\n") < log.find("was killed by SIGSEGV"));
}

TEST_CASE("who outlives a worker with its output open holds nothing up") {
  Baton baton(with_shell({"-w", "1"}, "setsid tail -f /dev/null & echo goes >&2; exit 3"));
  baton.wait_for("exited with code 3");
  baton.program().wait_for("| goes", 2);
}

TEST_CASE("a worker that closes its output is none the worse for it") {
  Baton baton(
      with_shell({"-w", "1"},
                 "trap 'exec >&- 2>&-' USR2; tail -f /dev/null >/dev/null 2>&1 & echo before; while :; do wait; "
                 "done"));
  const Worker worker = baton.workers().front();
  CHECK(writes(baton, front(worker) + "before\n"));
  const auto its = descriptors_of(worker.pid);
  const auto is_held = [&](int stream) {
    const auto ours = descriptors_of(baton.pid());
    return std::any_of(ours.begin(), ours.end(), [&](const auto& each) { return each.second == its.at(stream); });
  };
  CHECK(is_held(STDOUT_FILENO));
  ::kill(worker.pid, SIGUSR2);
  CHECK(becomes_true([&] { return !is_held(STDOUT_FILENO) && !is_held(STDERR_FILENO); }));
  CHECK(exists(worker.pid));
}

TEST_CASE("a long line is several") {
  Baton baton(with_shell({"-w", "1"}, "head -c 40000 /dev/zero | tr '\\0' x >&2; echo >&2; echo done >&2; " + wait_on));
  const Worker worker = baton.workers().front();
  baton.wait_for("| done");
  const std::vector<std::string> lines = baton.program().lines_with("xxx");
  REQUIRE(lines.size() == 3);
  std::size_t total = 0;
  for (const std::string& each : lines) total += each.size() - front(worker).size();
  CHECK(total == 40'000);
}

TEST_CASE("with a JSON log each line of a worker is an object, whatever its bytes") {
  Baton baton(
      with_shell({"-w", "1", "--log-format", "json"}, "printf 'a \"word\"\\377\\n' >&2; echo to output; " + wait_on));
  const Worker worker = baton.workers().front();
  const boost::json::object object = boost::json::parse(baton.wait_for("word")).as_object();
  CHECK(object.at("role") == "worker");
  CHECK(object.at("worker") == 1);
  CHECK(object.at("pid") == worker.pid);
  CHECK(object.at("stream") == "stderr");
  CHECK(object.at("message") == "a \"word\"\uFFFD");
  CHECK(writes(baton, R"("stream":"stdout","message":"to output"})"));
  CHECK(baton.stop(SIGTERM) == "code 0");
  for (const std::string& line : baton.program().lines()) CHECK_NOTHROW(boost::json::parse(line));
}

TEST_CASE("raw output is what the workers write, on the master's own streams") {
  const bool by_flag = GENERATE(true, false);
  Words arguments{"-w", "1"};
  if (by_flag) arguments.emplace_back("--raw-output");
  Baton::Setup setup;
  if (!by_flag) setup.variables.emplace_back("BATON_RAW_OUTPUT=yes");
  Baton baton(with_shell(arguments, "echo to output; echo to errors >&2; " + wait_on), setup);
  const Worker worker = baton.workers().front();
  CHECK(baton.wait_for("to errors") == "to errors");
  CHECK(writes(baton, "to output\n"));
  CHECK(baton.program().output() == "to output\n");
  CHECK(descriptors_of(worker.pid).at(STDERR_FILENO) == descriptors_of(baton.pid()).at(STDERR_FILENO));
}

TEST_CASE("the embedded worker's log goes where the master's does, without a prefix") {
  Baton baton({"-w", "1", "--log-level", "debug"});
  const Worker worker = baton.workers().front();
  CHECK(descriptors_of(worker.pid).at(STDERR_FILENO) == descriptors_of(baton.pid()).at(STDERR_FILENO));
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(baton.count(fmt::format("debug worker 1[{}] draining", worker.pid)) == 1);
  CHECK_FALSE(baton.log_has(" | "));
}

TEST_CASE("a file for the output is appended to, and opened again on USR1") {
  const Directory directory;
  const std::string file = directory / "out";
  write_file(file, "what was there\n");
  Baton baton(with_shell({"-w", "1", "--output", file},
                         "trap 'echo and on' USR2; echo begun; echo errors >&2; tail -f /dev/null & while :; do wait; "
                         "done"));
  const Worker worker = baton.workers().front();
  REQUIRE(becomes_true([&] { return holds(file, front(worker) + "errors\n"); }));
  CHECK(read_file(file).starts_with("what was there\n" + front(worker) + "begun\n"));
  SECTION("rotated") {
    std::filesystem::rename(file, file + ".1");
    baton.signal(SIGUSR1);
    baton.wait_for(file + " is opened again");
    ::kill(worker.pid, SIGUSR2);
    CHECK(becomes_true([&] { return read_file(file) == front(worker) + "and on\n"; }));
    CHECK_FALSE(holds(file + ".1", "and on"));
    struct stat status {};
    REQUIRE(::stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U & ~0640U) == 0);
  }
  SECTION("no longer to be had: the old one goes on") {
    std::filesystem::rename(file, file + ".1");
    std::filesystem::create_directory(file);
    baton.signal(SIGUSR1);
    baton.wait_for(
        fmt::format("can't open the output file {}: is a directory (--output names a file); the old one is "
                    "written to until the next USR1",
                    file));
    ::kill(worker.pid, SIGUSR2);
    CHECK(becomes_true([&] { return holds(file + ".1", front(worker) + "and on\n"); }));
  }
  SECTION("a reload goes on with it") {
    reload(baton);
    CHECK(becomes_true([&] { return holds(file, front({1, baton.latest()[1]}) + "begun\n"); }));
  }
  CHECK(baton.program().output().empty());
  CHECK_FALSE(baton.log_has(" | "));
}

TEST_CASE("a reload to another file moves the new workers' lines there, and one that can't be opened is refused") {
  const Directory directory;
  const std::string settings = directory / "settings";
  const auto choose = [&](const std::string& path) { write_file(settings, "output = \"" + path + "\"\n"); };
  choose(directory / "a");
  Baton baton(with_shell({"-w", "1", "-l", "127.0.0.1:0", "-c", settings}, "echo begun; " + wait_on));
  const Worker worker = baton.workers().front();
  REQUIRE(becomes_true([&] { return read_file(directory / "a") == front(worker) + "begun\n"; }));
  choose(directory / "no/such");
  baton.signal(SIGHUP);
  baton.wait_for(fmt::format("reload refused: can't open the output file {}", directory / "no/such"));
  choose(directory / "b");
  reload(baton);
  CHECK(becomes_true([&] { return read_file(directory / "b") == front({1, baton.latest()[1]}) + "begun\n"; }));
  CHECK(read_file(directory / "a") == front(worker) + "begun\n");
}

TEST_CASE("a file that can't be opened keeps baton from starting") {
  const Directory directory;
  const Outcome outcome =
      run_baton({"-w", "1", "-l", "127.0.0.1:0", "--output", directory / "no/such", "--", "sh", "-c", wait_on});
  CHECK(outcome.end == "code 1");
  CHECK(outcome.errors == fmt::format("baton: can't open the output file {}: no such file or directory (make its "
                                      "directory first)\n",
                                      directory / "no/such"));
}

TEST_CASE("USR1 does not end a baton without a file for output") {
  Baton baton({"-w", "1"});
  const pid_t worker = baton.pids().front();
  baton.signal(SIGUSR1);
  baton.signal(SIGTTIN);
  baton.wait_for("worker 2 pid");
  CHECK(answering_pid(baton.address()) > 0);
  CHECK(exists(worker));
}

TEST_CASE("a flood that nobody reads stops neither the workers nor their supervision, and is counted") {
  const Directory directory;
  const std::string stream = GENERATE("1", "2");
  // More than every pipe and buffer holds; the file tells that all of it was taken.
  const std::string flood =
      fmt::format("yes 'a line of the flood' | head -n 200000 >&{}; : >'{}/'$$; ", stream, directory / "");
  Baton baton(with_shell({"-w", "1"}, flood + wait_on));
  const auto pid = [&]() -> pid_t {
    const boost::json::object status = baton.status();
    for (const auto& each : status.at("workers").as_array())
      if (const auto* found = each.as_object().if_contains("pid"); found != nullptr && found->is_int64())
        return static_cast<pid_t>(found->as_int64());
    return 0;
  };
  const auto has_flooded = [&](pid_t worker) {
    return worker != 0 && std::filesystem::exists(directory / std::to_string(worker));
  };
  pid_t worker = 0;
  REQUIRE(becomes_true([&] { return has_flooded(worker = pid()); }));
  ::kill(worker, SIGKILL);
  pid_t successor = 0;
  REQUIRE(becomes_true([&] {
    successor = pid();
    return successor != worker && has_flooded(successor);
  }));
  baton.signal(SIGTTIN);  // whose log line is read behind all the others
  baton.wait_for("scaling from 1 worker to 2");
  const std::string& text = stream == "1" ? baton.program().output() : baton.program().errors();
  const bool is_told =
      baton.program().read_until([&] { return text.find(" lines were dropped: standard ") != std::string::npos; });
  CHECK(is_told);
  CHECK(baton.count("was killed by SIGKILL") == 1);
}
