// Unit tests of settings by one name in four places.
#include "common/settings.hpp"

#include "common/error.hpp"
#include "common/units.hpp"
#include "common/worker_settings.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

using Words = std::vector<std::string>;

/// A program with a setting of each kind.
struct Program {
  Program() {
    settings.add("-n,--number", "N", "A number",
                 [this](const std::string& text) { number = static_cast<int>(parse_count(text, 0, 100, "a number")); });
    settings.add("--long-name", "TEXT", "A text", [this](const std::string& text) { name = text; });
    settings.add_list("-i,--item", "ITEM", "Items", [this](const Words& all) {
      for (const std::string& each : all)
        if (each == "bad") throw UsageError("\"bad\" is no item");
      items = all;
    });
    settings.add_list(
        "--line", "LINE", "Lines", [this](const Words& all) { lines = all; }, '\n');
    settings.add_switch("--on", "Whether", on);
    settings.add_config("-c,--config", "A file");
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  Program& parse(const Words& arguments) {
    settings.parse(arguments);
    return *this;
  }
  std::string refused(const Words& arguments) {
    return message_of<UsageError>([&] { settings.parse(arguments); });
  }

  int number = -1;
  bool on = false;
  Words lines;
  std::string name = "default";
  Words items;
  Settings settings{"program [flags]", "What it does.", "program 1.2.3"};
};

}  // namespace

TEST_CASE("a setting's variable") {
  CHECK(variable_name("workers") == "BATON_WORKERS");
  CHECK(variable_name("max-header") == "BATON_MAX_HEADER");
}

TEST_CASE("flags in all their forms") {
  CHECK(Program().parse({"--number", "7"}).number == 7);
  CHECK(Program().parse({"--number=7"}).number == 7);
  CHECK(Program().parse({"-n", "7"}).number == 7);
  CHECK(Program().parse({"-n7"}).number == 7);
  CHECK(Program().parse({"-n", "7", "--number", "8"}).number == 8);
  CHECK(Program().parse({"--long-name", ""}).name.empty());
  CHECK(Program().parse({}).number == -1);
  CHECK(Program().parse({"-i", "a", "-i", "b"}).items == Words{"a", "b"});
  CHECK(Program().parse({"-i", "a,b", "--item=c"}).items == Words{"a", "b", "c"});
}

TEST_CASE("a value in brackets is a value like any other") {
  CHECK(Program().parse({"--long-name", "[x]"}).name == "[x]");
  CHECK(Program().parse({"-i", "[::1]"}).items == Words{"[::1]"});
  CHECK(Program().parse({"-i", "[::1]:80"}).items == Words{"[::1]:80"});
  const Variable item("BATON_ITEM", "[::1],[::2]");
  CHECK(Program().parse({}).items == Words{"[::1]", "[::2]"});
}

TEST_CASE("of a scalar, the flag wins over the environment, the environment over the file, the file over the default") {
  const Directory directory;
  const std::string file = directory.write("x.toml", "number = 3\nlong-name = \"file\"\n");
  CHECK(Program().parse({"-c", file}).number == 3);
  CHECK(Program().parse({"-c", file}).name == "file");
  const Variable number("BATON_NUMBER", "2");
  CHECK(Program().parse({}).number == 2);
  CHECK(Program().parse({"-c", file}).number == 2);
  CHECK(Program().parse({"-c", file}).name == "file");
  CHECK(Program().parse({"-c", file, "-n", "1"}).number == 1);
}

TEST_CASE("of a list, one place's values are all there is") {
  const Directory directory;
  const std::string file = directory.write("x.toml", "item = [\"f1\", \"f2\"]\n");
  CHECK(Program().parse({"-c", file}).items == Words{"f1", "f2"});
  const Variable item("BATON_ITEM", "e1,e2");
  CHECK(Program().parse({}).items == Words{"e1", "e2"});
  CHECK(Program().parse({"-c", file}).items == Words{"e1", "e2"});
  CHECK(Program().parse({"-c", file, "-i", "a"}).items == Words{"a"});
}

TEST_CASE("one value in the file is a list, too") {
  const Directory directory;
  CHECK(Program().parse({"-c", directory.write("x.toml", "item = \"[::1]:80\"\n")}).items == Words{"[::1]:80"});
  CHECK(Program().parse({"-c", directory.write("y.toml", "item = [\"[::1]:80\"]\n")}).items == Words{"[::1]:80"});
}

TEST_CASE("an empty variable is none") {
  const Variable number("BATON_NUMBER", "");
  CHECK(Program().parse({}).number == -1);
}

TEST_CASE("the file's name can come from the environment") {
  const Directory directory;
  const Variable config("BATON_CONFIG", directory.write("x.toml", "number = 3\n"));
  CHECK(Program().parse({}).number == 3);
}

TEST_CASE("a wrong value names the place that it came from") {
  const std::string wrong = "\"x\" is not a number (0 to 100)";
  CHECK(Program().refused({"-n", "x"}) == "--number: " + wrong);
  CHECK(Program().refused({"-i", "a", "-i", "bad"}) == "--item: \"bad\" is no item");
  const Directory directory;
  const std::string file = directory.write("x.toml", "number = \"x\"\n");
  CHECK(Program().refused({"-c", file}) == file + ": number: " + wrong);
  const std::string list = directory.write("y.toml", "item = [\"a\", \"bad\"]\n");
  CHECK(Program().refused({"-c", list}) == list + ": item: \"bad\" is no item");
  {
    const Variable number("BATON_NUMBER", "x");
    CHECK(Program().refused({}) == "BATON_NUMBER: " + wrong);
  }
  const Variable item("BATON_ITEM", "a,bad");
  CHECK(Program().refused({}) == "BATON_ITEM: \"bad\" is no item");
}

TEST_CASE("a wrong value in a place that another wins over does no harm") {
  const Directory directory;
  const std::string file = directory.write("x.toml", "number = \"x\"\n");
  const Variable number("BATON_NUMBER", "y");
  CHECK(Program().parse({"-c", file, "-n", "1"}).number == 1);
}

TEST_CASE("a flag without its value") {
  for (const Words& words : {Words{"--number"}, Words{"-n"}, Words{"-i"}}) {
    const std::string message = Program().refused(words);
    CAPTURE(message);
    CHECK(message.starts_with(words[0].ends_with("i") ? "--item: " : "--number: "));
    CHECK(contains(message, "missing"));
  }
}

TEST_CASE("an unknown flag, with what may have been meant") {
  CHECK(Program().refused({"--numbr", "7"}) == "unknown flag --numbr (did you mean --number?)");
  CHECK(Program().refused({"--numbr=7"}) == "unknown flag --numbr=7 (did you mean --number?)");
  CHECK(Program().refused({"--hlep"}) == "unknown flag --hlep (did you mean --help?)");
  CHECK(Program().refused({"--completely-different"}) == "unknown flag --completely-different");
  CHECK(contains(Program().refused({"-x"}), "unknown flag -x"));
}

TEST_CASE("an argument that is no flag") {
  const std::string message = Program().refused({"node"});
  CHECK(contains(message, "unexpected argument \"node\""));
  CHECK(contains(message, "baton -- node"));
}

TEST_CASE("help and version are texts to print") {
  const auto asked = [](const Words& words) {
    Program program;
    try {
      program.parse(words);
    } catch (const InformationAsked& information) {
      return information.text;
    }
    return std::string("nothing");
  };
  CHECK(asked({"--version"}) == "program 1.2.3\n");
  CHECK(asked({"-V"}) == "program 1.2.3\n");
  const std::string help = asked({"-h"});
  for (const char* part : {"What it does.", "Usage: program [flags]", "-n,--number", "--long-name", "-c,--config"}) {
    CAPTURE(help, part);
    CHECK(contains(help, part));
  }
}

TEST_CASE("a file that can't be read") {
  CHECK(Program().refused({"-c", "/nowhere/x.toml"}) ==
        "--config: can't read /nowhere/x.toml: no such file or directory");
  CHECK(Program().refused({"-c", "/"}) == "--config: can't read /: is a directory");
}

TEST_CASE("a file's unknown settings, sections and nonsense are refused by its name") {
  const Directory directory;
  const auto refused = [&](const std::string& text) {
    const std::string file = directory.write("x.toml", text);
    const std::string message = Program().refused({"-c", file});
    CHECK(message.starts_with(file + ": "));
    return message.substr(file.size() + 2);
  };
  CHECK(refused("numbr = 3\n") == "unknown setting \"numbr\" (did you mean number?)");
  CHECK(refused("something_else = 3\n") == "unknown setting \"something_else\"");
  CHECK(contains(refused("config = \"y.toml\"\n"), "unknown setting \"config\""));
  CHECK(contains(refused("[section]\nnumber = 3\n"), "[section]: there are no sections"));
  CHECK_FALSE(refused("number\n").empty());
  CHECK_FALSE(refused("number = [1, 101]\n").empty());
}

TEST_CASE("a file with comments, blank lines and nothing") {
  const Directory directory;
  CHECK(Program().parse({"-c", directory.write("x.toml", "# comment\n\nnumber = 3  # three\n")}).number == 3);
  CHECK(Program().parse({"-c", directory.write("y.toml", "")}).number == -1);
}

TEST_CASE("variables of ours that nothing reads are found, and no others") {
  const Variable known("BATON_NUMBER", "1");
  const Variable number("BATON_WORKER", "1");  // the master's, for its workers
  const Variable start("BATON_START", "17");
  const Variable other("XBATON_NUMBR", "1");
  const Variable unknown("BATON_NUMBR", "1");
  CHECK(Program().parse({}).settings.unknown_variables() == Words{"BATON_NUMBR"});
}

TEST_CASE("a worker's settings pass through its arguments unchanged") {
  WorkerSettings given;
  const bool is_default = GENERATE(true, false);
  if (!is_default) {
    given.max_header = 300;
    given.max_body = 0;
    given.header_timeout = std::chrono::milliseconds(1);
    given.body_timeout = std::chrono::milliseconds(1500);
    given.idle_timeout = std::chrono::hours(1);
    given.max_connections = 1;
    given.max_requests = 50;
    given.heartbeat = std::chrono::milliseconds(2500);
    given.log = {log::Level::debug, log::Format::json};
  }
  // Whatever else is set: the master has decided.
  const Variable variable("BATON_MAX_HEADER", "4k");
  Settings settings("worker", "", "");
  WorkerSettings taken;
  taken.max_header = 7;
  add_worker_settings(settings, taken);
  add_inner_worker_settings(settings, taken);
  settings.parse(to_arguments(given));
  CHECK(taken.max_header == given.max_header);
  CHECK(taken.max_body == given.max_body);
  CHECK(taken.header_timeout == given.header_timeout);
  CHECK(taken.body_timeout == given.body_timeout);
  CHECK(taken.idle_timeout == given.idle_timeout);
  CHECK(taken.max_connections == given.max_connections);
  CHECK(taken.max_requests == given.max_requests);
  CHECK(taken.heartbeat == given.heartbeat);
  CHECK(taken.log.level == given.log.level);
  CHECK(taken.log.format == given.log.format);
}

TEST_CASE("a worker's settings have bounds") {
  const auto refused = [](const std::string& argument) {
    Settings settings("worker", "", "");
    WorkerSettings taken;
    add_worker_settings(settings, taken);
    return message_of<UsageError>([&] { settings.parse({argument}); });
  };
  CHECK(refused("--max-header=255") == "--max-header: \"255\" is out of range (256 to 1m)");
  CHECK(refused("--max-header=2m") == "--max-header: \"2m\" is out of range (256 to 1m)");
  CHECK(contains(refused("--header-timeout=0"), "--header-timeout: \"0\" leaves no time at all"));
  CHECK(contains(refused("--body-timeout=0ms"), "--body-timeout: "));
  CHECK(contains(refused("--idle-timeout=0"), "--idle-timeout: "));
  CHECK(contains(refused("--max-connections=0"), "--max-connections: \"0\" is not a number of connections"));
  CHECK(contains(refused("--log-level=loud"), "--log-level: \"loud\" is no level"));
  CHECK(contains(refused("--log-format=xml"), "--log-format: \"xml\" is no format"));
}

TEST_CASE("arguments without a flag are taken where they are expected, and numbers are none of the flags") {
  const auto given = [](const Words& names, const Words& arguments) {
    Settings settings("program [flags]", "A program", "1");
    bool loud = false;
    settings.add_flag("--loud", "Loud", loud);
    settings.expect_arguments(names);
    settings.parse(arguments);
    return std::make_pair(settings.arguments(), loud);
  };
  CHECK(given({"AMOUNT"}, {"8"}) == std::make_pair(Words{"8"}, false));
  CHECK(given({"AMOUNT"}, {"--loud", "-1"}) == std::make_pair(Words{"-1"}, true));
  CHECK(given({"AMOUNT"}, {"-12", "--loud"}) == std::make_pair(Words{"-12"}, true));
  CHECK(given({"AMOUNT"}, {"--", "-1"}) == std::make_pair(Words{"-1"}, false));
  CHECK(given({"A", "B"}, {"x", "--loud", "y"}) == std::make_pair(Words{"x", "y"}, true));
  CHECK(given({}, {}) == std::make_pair(Words{}, false));
  const auto refused = [&](const Words& names, const Words& arguments) {
    return message_of<UsageError>([&] { given(names, arguments); });
  };
  CHECK(refused({"A", "B"}, {"x"}) == "B is missing (usage: program [flags])");
  CHECK(refused({"A"}, {"x", "y"}) == "unexpected argument \"y\" (usage: program [flags])");
  CHECK(refused({}, {"x"}) == "unexpected argument \"x\" (usage: program [flags])");
  CHECK(refused({"A"}, {"-x"}) == "unknown flag -x");
  CHECK(refused({"A"}, {"--lod"}) == "unknown flag --lod (did you mean --loud?)");
}

TEST_CASE("a switch is a bare flag, and has a value in the environment and the file") {
  CHECK_FALSE(Program().parse({}).on);
  CHECK(Program().parse({"--on"}).on);
  CHECK_FALSE(Program().parse({"--on", "--on=no"}).on);
  CHECK(Program().refused({"--on=perhaps"}) == "--on: \"perhaps\" is neither yes nor no");
  CHECK(contains(Program().refused({"--on", "word"}), "unexpected argument \"word\""));
  const Variable variable("BATON_ON", "yes");
  CHECK(Program().parse({}).on);
  CHECK_FALSE(Program().parse({"--on=no"}).on);
  const Variable wrong("BATON_ON", "perhaps");
  CHECK(Program().refused({}) == "BATON_ON: \"perhaps\" is neither yes nor no");
}

TEST_CASE("a switch in the file") {
  const Directory directory;
  for (const char* each : {"true", "yes", "\"on\""}) {
    const std::string file = directory.write("x.toml", std::string("on = ") + each + "\n");
    CHECK(Program().parse({"-c", file}).on);
  }
  const std::string file = directory.write("x.toml", "on = false\n");
  CHECK_FALSE(Program().parse({"-c", file}).on);
  CHECK(Program().parse({"--on", "-c", file}).on);
}

TEST_CASE("a list whose values have commas in them goes by lines") {
  CHECK(Program().parse({"--line", "a,b", "--line=c"}).lines == Words{"a,b", "c"});
  const Variable variable("BATON_LINE", "a,b\nc");
  CHECK(Program().parse({}).lines == Words{"a,b", "c"});
}

}  // namespace baton::test
