// Process tests. bash's completion (scripts/completions/baton), as bash itself runs it.
#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "master/control/verbs.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/program.hpp"
#include "tests/support/programs/programs.hpp"

using namespace baton::test;

namespace {

using Flags = std::set<std::string>;

/// What is offered for the last of the words, which begin behind "baton".
Flags completed(const std::string& words) {
  const std::string script = fmt::format(
      "source '{}/scripts/completions/baton'; COMP_WORDS=('{}' {}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _baton; "
      "printf '%s\\n' \"${{COMPREPLY[@]}}\"",
      BATON_SOURCE_DIR, programs::baton(), words);
  Program bash({{"bash", "-c", script}, {}, {}, {}});
  CHECK(bash.wait_for_end() == "code 0");
  CHECK(bash.errors().empty());
  Flags found;
  std::istringstream lines(bash.output());
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) found.insert(line);
  return found;
}

/// Of `baton COMMAND --help`.
Flags long_flags_of(const std::vector<std::string>& command) {
  std::vector<std::string> arguments = command;
  arguments.emplace_back("--help");
  std::istringstream lines(run_baton(arguments).output);
  Flags found;
  const std::regex option("^  (-[A-Za-z],)?(--[a-z-]+)");
  std::smatch match;
  for (std::string line; std::getline(lines, line);)
    if (std::regex_search(line, match, option)) found.insert(match[2]);
  return found;
}

}  // namespace

TEST_CASE("completion: a flag is completed as the help has it") {
  Flags expected = long_flags_of({});
  CHECK(expected.size() > 40);
  expected.insert("--");
  CHECK(completed("--") == expected);
  CHECK(completed("--drain") == Flags{"--drain-timeout"});
  CHECK(completed("-w 3 --pol") == Flags{"--policy"});

  for (const std::string command : {"status", "send", "doctor", "init"}) {
    CAPTURE(command);
    Flags of_command = long_flags_of({command});
    if (command == "doctor" || command == "init") of_command.merge(long_flags_of({}));
    of_command.insert("--");
    CHECK(completed(command + " --") == of_command);
  }
}

TEST_CASE("completion: the first word is a command, and the list is whole") {
  Flags expected{"doctor", "init", "worker"};
  for (const baton::Verb& verb : baton::verbs())
    if (!verb.command.empty()) expected.insert(std::string(verb.command));
  CHECK(completed("''") == expected);
  CHECK(completed("st") == Flags{"status", "stop"});
}

TEST_CASE("completion: values are those that baton takes") {
  for (const std::string flag : {"--policy", "--dialect", "--ready", "--log-level", "--log-format", "--stop-signal"}) {
    const Flags values = completed(flag + " ''");
    CHECK(values.size() > 1);
    for (const std::string& value : values) {
      // What goes with what is another matter: the value itself is known.
      const Outcome outcome = run_baton({"--max-body", "none", flag, value, "--", "x"});
      CAPTURE(flag, value);
      CHECK(outcome.errors.starts_with("baton: --max-body: "));
    }
  }
}

TEST_CASE("completion: behind two dashes baton's own is over") {
  CHECK(completed("-- x --").empty());
}
