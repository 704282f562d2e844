// Process tests. HUP has two meanings: reload, and of a terminal that was closed, the end.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/program.hpp"
#include "tests/support/programs/programs.hpp"

using namespace baton::test;

namespace {

/// baton as the leader of a session with this terminal; `before` is put in front of its command line.
Launch in_terminal(const std::string& terminal, std::vector<std::string> before) {
  before.insert(before.begin(), {"setsid", "--ctty", "--wait"});
  before.insert(before.end(), {programs::baton(), "-l", "127.0.0.1:0", "-w", "1"});
  return {before, {}, {}, [terminal] {
            const int opened = ::open(terminal.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
            ::dup2(opened, STDIN_FILENO);
          }};
}

pid_t master_in(const std::string& line) {
  const std::size_t at = line.find("master[");
  REQUIRE(at != std::string::npos);
  return std::atoi(line.c_str() + at + std::string_view("master[").size());
}

baton::Fd open_terminal(std::string& name) {
  baton::Fd terminal{baton::check(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt")};
  REQUIRE(::grantpt(terminal.get()) == 0);
  REQUIRE(::unlockpt(terminal.get()) == 0);
  name = ::ptsname(terminal.get());
  return terminal;
}

}  // namespace

TEST_CASE("in a terminal HUP reloads, and the terminal's end is baton's, too") {
  std::string name;
  baton::Fd terminal = open_terminal(name);
  Program program(in_terminal(name, {}));
  const pid_t master = master_in(program.wait_for(" ready"));
  ::kill(master, SIGHUP);
  program.wait_for("reload 1: done, ");
  terminal.reset();
  program.wait_for("stopping: ");
  CHECK(program.wait_for_end() == "code 0");
  CHECK(strays().empty());
}

TEST_CASE("under nohup it outlives its terminal") {
  std::string name;
  baton::Fd terminal = open_terminal(name);
  Program program(in_terminal(name, {"nohup"}));
  const pid_t master = master_in(program.wait_for(" ready"));
  terminal.reset();  // whose HUP is a reload like any other
  program.wait_for("reload 1: done, ");
  ::kill(master, SIGTERM);
  CHECK(program.wait_for_end() == "code 0");
  CHECK(strays().empty());
}
