// Process tests. The end: what is under way is finished, and nothing is left.
#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// A request that a worker has begun to read, and that ends with finish().
class UnderWay {
 public:
  explicit UnderWay(const std::string& address) : connection_(address) {
    connection_.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\nhello");
    CHECK(connection_.read_response().status == 100);
  }
  pid_t finish() {
    connection_.send("world");
    const Response response = connection_.read_response();
    CHECK(response.fields.at("connection") == "close");
    CHECK(connection_.read_to_end().empty());
    return pid_in(response);
  }

 private:
  Connection connection_;
};

/// Workers that do not heed TERM, and say when they are so far.
const std::vector<std::string> stubborn{"--", "sh", "-c", "trap '' TERM; echo prepared >&2; exec tail -f /dev/null"};

std::vector<std::string> with_stubborn(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), stubborn.begin(), stubborn.end());
  return arguments;
}

}  // namespace

TEST_CASE("TERM, QUIT and INT end it with code 0 and leave no process, no socket file and no pid file") {
  const int number = GENERATE(SIGTERM, SIGQUIT, SIGINT);
  const Directory directory;
  const std::string socket = directory / "x.sock";
  const std::string pid_file = directory / "x.pid";
  Baton baton({"-w", "3", "-l", "unix:" + socket, "-l", "127.0.0.1:0", "--pid-file", pid_file});
  const std::vector<pid_t> workers = baton.pids();
  CHECK(read_file(pid_file) == fmt::format("{}\n", baton.pid()));
  for (const std::string& each : baton.addresses()) answering_pid(each);

  CHECK(baton.stop(number) == "code 0");
  for (const pid_t each : workers) CHECK_FALSE(exists(each));
  CHECK_FALSE(std::filesystem::exists(socket));
  CHECK_FALSE(std::filesystem::exists(pid_file));
  CHECK(is_refused(baton.addresses().back()));
  for (const Worker& each : baton.workers())
    CHECK(baton.log_has(fmt::format("worker {} pid {} has finished", each.number, each.pid)));
}

TEST_CASE("a request under way is finished and answered") {
  const int number = GENERATE(SIGTERM, SIGQUIT, SIGINT);
  Baton baton({"-w", "2", "--log-level", "debug"});
  baton.workers();  // one that still starts ends at once
  UnderWay under_way(baton.address());
  baton.signal(number);
  baton.program().wait_for("draining, ", 2);
  const pid_t pid = under_way.finish();
  CHECK(baton.program().wait_for_end() == "code 0");
  CHECK((pid == baton.pids().front() || pid == baton.pids().back()));
}

TEST_CASE("connections that wait to be accepted when the stop comes are answered") {
  Baton baton({"-w", "1"});
  const baton::Fd worker = open_pidfd(baton.pids().front());
  signal_process(worker, SIGSTOP);
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(std::make_unique<Connection>(baton.address()));
    waiting.back()->send(plain_request);
  }
  baton.signal(SIGTERM);
  baton.wait_for("stopping: ");
  signal_process(worker, SIGCONT);
  for (const auto& each : waiting) {
    CHECK(pid_in(each->read_response()) == baton.pids().front());
    CHECK(each->read_to_end().empty());
  }
  CHECK(baton.program().wait_for_end() == "code 0");
}

TEST_CASE("a kept connection at rest gets a last answer, and does not hold the stop up") {
  Baton baton({"-w", "1", "--log-level", "debug"});
  Connection resting(baton.address());
  resting.send(plain_request);
  pid_in(resting.read_response());
  Connection speaking(baton.address());
  speaking.send(plain_request);
  pid_in(speaking.read_response());
  baton.signal(SIGTERM);
  baton.wait_for("draining, ");
  speaking.send(plain_request);
  const Response last = speaking.read_response();
  CHECK(last.status == 200);
  CHECK(last.fields.at("connection") == "close");
  CHECK(resting.read_to_end().empty());
}

TEST_CASE("workers that do not finish in time are killed, and that is a clean end too") {
  Baton baton(with_stubborn({"-w", "2", "--drain-timeout", "200ms"}));
  baton.program().wait_for("prepared", 2);
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(baton.program().wait_for("did not finish within 200 ms and is killed", 2).size() == 2);
  CHECK(baton.program().wait_for("was killed by SIGKILL (Killed)", 2).size() == 2);
}

TEST_CASE("a second INT is at once") {
  Baton baton(with_stubborn({"-w", "2"}));  // with the default of 30 seconds, beyond this test's patience
  baton.program().wait_for("prepared", 2);
  baton.signal(SIGINT);
  baton.wait_for("stopping: ");
  CHECK(baton.stop(SIGINT) == "code 0");
  CHECK(baton.log_has("interrupted again"));
}

TEST_CASE("a second INT does not wait for the embedded worker's clients") {
  Baton baton({"-w", "1"});
  UnderWay under_way(baton.address());
  baton.signal(SIGTERM);
  baton.wait_for("stopping: ");
  CHECK(baton.stop(SIGINT) == "code 0");
}

TEST_CASE("TERM again changes nothing: the request under way is still answered") {
  Baton baton({"-w", "1", "--log-level", "debug"});
  UnderWay under_way(baton.address());
  baton.signal(SIGTERM);
  baton.wait_for("draining, ");
  baton.signal(SIGTERM);
  baton.signal(SIGQUIT);
  CHECK(under_way.finish() == baton.pids().front());
  CHECK(baton.program().wait_for_end() == "code 0");
}

TEST_CASE("workers whose master was killed finish what they are answering, and leave") {
  Baton baton({"-w", "2", "--log-level", "debug"});
  std::vector<baton::Fd> workers;
  for (const pid_t each : baton.pids()) workers.push_back(open_pidfd(each));
  UnderWay under_way(baton.address());
  CHECK(baton.stop(SIGKILL) == "signal 9");
  baton.program().wait_for("draining, ", 2);
  under_way.finish();
  for (const baton::Fd& each : workers) CHECK(has_ended(each));
}

TEST_CASE("what a foreign worker started ends with it") {
  Baton baton({"-w", "1", "--", "sh", "-c", "tail -f /dev/null & echo started $! >&2; wait"});
  const std::string line = baton.wait_for("started ");
  const baton::Fd grandchild =
      open_pidfd(std::stoi(line.substr(line.find("started ") + std::string_view("started ").size())));
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(has_ended(grandchild));
}
