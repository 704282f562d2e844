// Unit tests. The environment that a worker's process is started with.
#include "master/process/worker_variables.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/catch/catch.hpp"

using namespace baton;

namespace {

const MasterSockets both_sockets{"/run/baton.sock", "@0002f"};

Options options_of_command() {
  Options options;
  options.command = {"node", "app.js"};
  return options;
}

/// What the child finds in its variable, where the master has none of that name.
std::optional<std::string> found_by_child(const std::vector<std::string>& variables, const std::string& name) {
  const auto first = std::find_if(variables.begin(), variables.end(),
                                  [&](const std::string& each) { return each.starts_with(name + "="); });
  return first == variables.end() ? std::nullopt : std::optional(first->substr(name.size() + 1));
}

/// Else the child finds what the master has itself.
bool mentions(const std::vector<std::string>& variables, const std::string& name) {
  return std::any_of(variables.begin(), variables.end(),
                     [&](const std::string& each) { return each == name || each.starts_with(name + "="); });
}

}  // namespace

TEST_CASE("a command's worker is told of both sockets, and of the time in which it is to show that it is alive") {
  Options options = options_of_command();
  options.hang_timeout = std::chrono::milliseconds(2500);
  const auto variables = worker_variables(options, both_sockets);
  CHECK(found_by_child(variables, "BATON_CONTROL") == "/run/baton.sock");
  CHECK(found_by_child(variables, "NOTIFY_SOCKET") == "@0002f");
  CHECK(found_by_child(variables, "WATCHDOG_USEC") == "2500000");
}

TEST_CASE("without a hang timeout no watchdog is promised, the master's own supervisor's neither") {
  Options options = options_of_command();
  options.hang_timeout = std::chrono::milliseconds(0);
  const auto variables = worker_variables(options, both_sockets);
  CHECK(mentions(variables, "WATCHDOG_USEC"));
  CHECK_FALSE(found_by_child(variables, "WATCHDOG_USEC"));
  CHECK(mentions(variables, "WATCHDOG_PID"));
  CHECK_FALSE(found_by_child(variables, "WATCHDOG_PID"));
}

TEST_CASE("an embedded worker is told of no socket, and finds none of the master's in its environment") {
  const auto variables = worker_variables(Options{}, {"/run/baton.sock", ""});
  for (const char* each : {"BATON_CONTROL", "NOTIFY_SOCKET", "WATCHDOG_USEC"}) {
    INFO(each);
    CHECK(mentions(variables, each));
    CHECK_FALSE(found_by_child(variables, each));
  }
}

TEST_CASE("a command's worker of a master without a control socket finds no other master's") {
  const auto variables = worker_variables(options_of_command(), {"", "@0002f"});
  CHECK(mentions(variables, "BATON_CONTROL"));
  CHECK_FALSE(found_by_child(variables, "BATON_CONTROL"));
}

TEST_CASE("the account's variables are set where the user has set none of that name") {
  Options options = options_of_command();
  options.process.variables = {"HOME=/srv/app", "COLOUR=blue"};
  options.process.account = Account{};
  options.process.account->name = "web";
  options.process.account->home = "/home/web";
  const auto variables = worker_variables(options, both_sockets);
  CHECK(found_by_child(variables, "USER") == "web");
  CHECK(found_by_child(variables, "LOGNAME") == "web");
  CHECK(found_by_child(variables, "HOME") == "/srv/app");
  CHECK(found_by_child(variables, "COLOUR") == "blue");
}

TEST_CASE("of an account without a name or a home, nothing is set") {
  Options options = options_of_command();
  options.process.account = Account{};
  const auto variables = worker_variables(options, both_sockets);
  for (const char* each : {"USER", "LOGNAME", "HOME"}) CHECK_FALSE(mentions(variables, each));
}
