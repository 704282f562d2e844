// Process tests. Settings end to end: their four places, what a worker gets of them, and the log's forms.
#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <csignal>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

TEST_CASE("a flag wins over the environment, the environment over the file") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  write_file(file, "# of a test\nworkers = 2\nlisten = [\"127.0.0.1:0\", \"[::1]:0\"]\nlog-level = \"debug\"\n");
  SECTION("the file") {
    Baton baton({"-c", file});
    CHECK(baton.workers().size() == 2);
    CHECK(baton.addresses().size() == 2);
    CHECK(baton.addresses().back().starts_with("[::1]:"));
    CHECK(baton.wait_for("debug master").ends_with("spawned"));
  }
  SECTION("the environment over the file") {
    Baton baton({"-c", file}, {{"BATON_WORKERS=3", "BATON_LOG_LEVEL=info"}, {}, {}});
    CHECK(baton.workers().size() == 3);
    CHECK(baton.addresses().size() == 2);
    CHECK_FALSE(baton.log_has("debug"));
  }
  SECTION("a flag over both") {
    Baton baton({"-c", file, "-w", "1", "-l", "127.0.0.1:0"}, {{"BATON_WORKERS=3", "BATON_LISTEN=[::1]:0"}, {}, {}});
    CHECK(baton.workers().size() == 1);
    CHECK(baton.addresses().size() == 1);
    CHECK(baton.address().starts_with("127.0.0.1:"));
  }
  SECTION("a list in the environment, and the file named there") {
    Baton baton({}, {{"BATON_CONFIG=" + file, "BATON_LISTEN=127.0.0.1:0,127.0.0.1:0,[::1]:0"}, {}, {}});
    CHECK(baton.workers().size() == 2);
    CHECK(baton.addresses().size() == 3);
  }
}

TEST_CASE("the worker's settings reach it from the file and the environment, too") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  write_file(file, "workers = 1\nmax-header = 256\n");
  Baton baton({"-c", file, "-l", "127.0.0.1:0"}, {{"BATON_MAX_BODY=10"}, {}, {}});
  Connection large_header(baton.address());
  large_header.send("GET / HTTP/1.1\r\nHost: test\r\nX: " + std::string(300, 'x') + "\r\n\r\n");
  CHECK(large_header.read_response().status == 431);
  Connection large_body(baton.address());
  large_body.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n");
  CHECK(large_body.read_response().status == 413);
}

TEST_CASE("a JSON log is an object a line, with time, level, role, pid and message") {
  Baton baton({"-w", "2", "--log-format", "json", "--log-level", "debug"}, {{"BATON_WROKERS=1"}, {}, {}});
  const std::vector<pid_t> workers = baton.pids();
  CHECK(baton.stop(SIGTERM) == "code 0");
  std::size_t of_workers = 0;
  for (const std::string& line : baton.program().lines()) {
    CAPTURE(line);
    boost::system::error_code error;
    const boost::json::value value = boost::json::parse(line, error);
    REQUIRE_FALSE(error);
    const boost::json::object& object = value.as_object();
    CHECK(object.at("time").as_string().size() == std::string_view("2025-01-01T00:00:00.000Z").size());
    CHECK_FALSE(object.at("level").as_string().empty());
    CHECK_FALSE(object.at("message").as_string().empty());
    const auto pid = static_cast<pid_t>(object.at("pid").as_int64());
    if (object.at("role").as_string() == "worker") {
      ++of_workers;
      CHECK((pid == workers.front() || pid == workers.back()));
      CHECK(object.at("worker").as_int64() > 0);
    } else {
      CHECK(object.at("role").as_string() == "master");
      CHECK(pid == baton.pid());
    }
  }
  CHECK(of_workers >= 2);
}

TEST_CASE("a variable that looks like a setting and is none is warned of") {
  Baton baton({"-w", "1"}, {{"BATON_WROKERS=4"}, {}, {}});
  const std::string line = baton.wait_for("BATON_WROKERS");
  CHECK(line.find(" warning master[") != std::string::npos);
}

TEST_CASE("variables that baton itself gives its workers are no cause for a warning") {
  Baton baton({"-w", "1", "--log-level", "debug"});
  baton.workers();
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("a setting in the environment reaches the embedded worker once, through the master's flags") {
  // A worker reads the same variables: what the master has settled must not be overruled there.
  Baton baton({"-w", "1", "--max-header", "256"}, {{"BATON_MAX_HEADER=16k"}, {}, {}});
  Connection connection(baton.address());
  connection.send("GET / HTTP/1.1\r\nHost: test\r\nX: " + std::string(300, 'x') + "\r\n\r\n");
  CHECK(connection.read_response().status == 431);
}

TEST_CASE("at level error nothing is said while all goes well") {
  Program quiet({{programs::baton(), "-w", "1", "-l", "127.0.0.1:0", "--log-level", "error", "--", "sh", "-c",
                  "echo running >&2; exec tail -f /dev/null"},
                 {},
                 {},
                 {}});
  quiet.wait_for("running");
  quiet.signal(SIGTERM);
  CHECK(quiet.wait_for_end() == "code 0");
  const std::vector<std::string> lines = quiet.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].ends_with(" | running"));
  CHECK(strays() == std::vector<std::string>{});
}
