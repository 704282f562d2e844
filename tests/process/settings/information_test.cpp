// Process tests. --help and --version, and that the documents know every flag.
#include <algorithm>
#include <regex>
#include <set>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

namespace {

std::set<std::string> long_flags(const std::string& text) {
  const std::regex flag("--[a-z][a-z-]+");
  std::set<std::string> found;
  for (std::sregex_iterator each(text.begin(), text.end(), flag), end; each != end; ++each) found.insert(each->str());
  return found;
}

}  // namespace

TEST_CASE("help and version go to standard output and end with code 0") {
  for (const char* flag : {"--help", "-h", "--version", "-V"}) {
    const Outcome outcome = run_baton({flag});
    CAPTURE(flag);
    CHECK(outcome.end == "code 0");
    CHECK(outcome.errors.empty());
    CHECK_FALSE(outcome.output.empty());
  }
  CHECK(run_baton({"--version"}).output == "baton " BATON_VERSION "\n");
  CHECK(run_baton({"worker", "--help"}).end == "code 0");
  CHECK(run_baton({"-w", "2", "--help", "--", "node", "--version"}).output.starts_with("Binds a port"));
}

TEST_CASE("every long flag in --help is in the man page and in the reference") {
  const std::string help = run_baton({"--help"}).output;
  const std::set<std::string> flags = long_flags(help);
  CHECK(flags.size() > 15);
  std::string man_page = read_file(BATON_SOURCE_DIR "/docs/baton.1");
  man_page.erase(std::remove(man_page.begin(), man_page.end(), '\\'), man_page.end());  // troff writes \-\-
  const std::set<std::string> in_man_page = long_flags(man_page);
  const std::set<std::string> in_reference = long_flags(read_file(BATON_SOURCE_DIR "/docs/reference.md"));
  for (const std::string& each : flags) {
    CAPTURE(each);
    CHECK(in_man_page.contains(each));
    CHECK(in_reference.contains(each));
  }
}
