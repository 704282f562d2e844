// Process tests. The checks of the project's own structure, on trees in which something is wrong.
#include <filesystem>
#include <string>

#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/programs/program.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

namespace {

namespace files = std::filesystem;

/// What the checks look at, for a test to spoil.
class Tree {
 public:
  Tree() {
    for (const char* each : {"cmake", "common", "docs", "examples", "master", "scripts", "tests", "worker"})
      files::copy(files::path(BATON_SOURCE_DIR) / each, directory_ / each, files::copy_options::recursive);
    for (const char* each : {"CHANGELOG.md", "CMakeLists.txt", "CONTRIBUTING.md", "LICENSE", "README.md"})
      files::copy(files::path(BATON_SOURCE_DIR) / each, directory_ / each);
  }

  void prepend(const std::string& file, const std::string& line) const {
    write_file(directory_ / file, line + '\n' + read_file(directory_ / file));
  }
  void remove(const std::string& file) const { files::remove(directory_ / file); }
  void replace(const std::string& file, const std::string& old, const std::string& by) const {
    std::string text = read_file(directory_ / file);
    const std::size_t at = text.find(old);
    REQUIRE(at != std::string::npos);
    write_file(directory_ / file, text.replace(at, old.size(), by));
  }

  /// "code 0", or "code 1" and what the check has said.
  [[nodiscard]] std::string check(const std::string& name) const {
    Program program({{std::string(BATON_SOURCE_DIR "/scripts/") + name, directory_ / "."}, {}, {}, {}});
    const std::string end = program.wait_for_end();
    return end + '\n' + program.output() + program.errors();
  }

 private:
  Directory directory_;
};

}  // namespace

TEST_CASE("the layers: an include that goes up a floor is refused, and named") {
  const Tree tree;
  CHECK(tree.check("check-layers") == "code 0\n");
  tree.prepend("master/control/verbs.cpp", "#include \"master/supervisor/starter.hpp\"");
  const std::string said = tree.check("check-layers");
  CHECK(said.starts_with("code 1\n"));
  CHECK(contains(said, "master/control/verbs.cpp includes master/supervisor/starter.hpp"));
}

TEST_CASE("the layers: across a floor, and from one side of the channel to the other, is refused as well") {
  const Tree tree;
  tree.prepend("master/init/init.cpp", "#include \"master/client/client.hpp\"");
  CHECK(contains(tree.check("check-layers"), "master/init/init.cpp includes master/client/client.hpp"));
  tree.prepend("worker/accept.cpp", "#include \"master/pool/pool.hpp\"");
  CHECK(contains(tree.check("check-layers"), "worker/accept.cpp"));
}

TEST_CASE("the documents: a walk's function that its file does not have is refused, and named") {
  const Tree tree;
  CHECK(tree.check("check-docs") == "code 0\n");
  tree.replace("docs/architecture.md", "`listen_on`", "`listen_at`");
  CHECK(contains(tree.check("check-docs"), "master/listeners/listener.cpp has no listen_at"));
  tree.remove("master/policy/round_robin.cpp");
  CHECK(contains(tree.check("check-docs"), "there is no master/policy/round_robin.cpp"));
}

TEST_CASE("the sizes: a source over 350 lines is refused, and named") {
  const Tree tree;
  CHECK(tree.check("check-sizes") == "code 0\n");
  tree.prepend("master/main.cpp", std::string(350, '\n'));
  CHECK(contains(tree.check("check-sizes"), "master/main.cpp has "));
}
