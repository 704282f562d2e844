// Unit tests. The file that the shared state is written through to.
#include "master/state/file.hpp"

#include <sys/stat.h>

#include "common/error.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;
using namespace baton::state;

std::string file_refusal(const std::string& path) {
  try {
    const File file(path);
  } catch (const StartError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("what was written is there when the file is opened again, and versions go on") {
  const Directory directory;
  const std::string path = directory / "state.db";
  const Moment now{std::chrono::hours(1)};
  {
    File file(path);
    Store store;
    store.set_journal(&file);
    store.put("a", R"("ä\u0000")", {}, std::nullopt, now);
    store.put("b", "2", {}, 5s, now);
    store.put("c", "3", {}, std::nullopt, now);
    CHECK(store.remove("c", {}, now) == 4);
  }
  File file(path);
  File::Contents contents = file.read();
  CHECK(contents.last_version == 4);
  Store store;
  store.load(std::move(contents.entries), contents.last_version);
  CHECK(store.size() == 2);
  CHECK(store.get("a", now).value == R"("ä\u0000")");
  CHECK(store.deadline() == now + 5s);
  CHECK(store.put("d", "1", {}, std::nullopt, now).version == 5);
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
}

TEST_CASE("a state file that is none, that another has, or that can't be made is refused by its name") {
  const Directory directory;
  const std::string other = directory.write("notes.txt", std::string(2000, 'x'));
  CHECK(file_refusal(other).find("notes.txt: it is no SQLite database (--state-file names another)") !=
        std::string::npos);
  const File held(directory / "held.db");
  CHECK(file_refusal(directory / "held.db").find("another process has it open") != std::string::npos);
  CHECK(file_refusal(directory / "missing/x.db").find("no such file or directory") != std::string::npos);
}

}  // namespace baton::test
