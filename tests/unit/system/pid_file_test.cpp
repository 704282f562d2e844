// Unit tests of the pid file.
#include "master/system/pid_file.hpp"

#include <sys/stat.h>

#include <filesystem>

#include "common/error.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

std::string own_pid() {
  return std::to_string(::getpid());
}

std::string pid_file_refusal(const std::string& path) {
  return message_of<StartError>([&] { const PidFile file(path); });
}

}  // namespace

TEST_CASE("a pid file holds the pid while it lives") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory / "x.pid";
  {
    const PidFile file(path);
    CHECK(read_file(path) == own_pid() + "\n");
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a pid file in use is refused, by its holder's pid, and left alone") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory / "x.pid";
  const PidFile file(path);
  CHECK(pid_file_refusal(path) ==
        "can't use the pid file " + path + ": a baton with pid " + own_pid() + " is running with it");
  CHECK(read_file(path) == own_pid() + "\n");
}

TEST_CASE("a pid file that a dead master left is taken over, whatever is in it") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory.write("x.pid", "1\nand much more text than a pid has\n");
  const PidFile file(path);
  CHECK(read_file(path) == own_pid() + "\n");
}

TEST_CASE("a successor's pid file is left alone") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory / "x.pid";
  {
    const PidFile file(path);
    std::filesystem::rename(path, directory / "moved");
    CHECK(directory.write("x.pid", "7\n") == path);
  }
  CHECK(read_file(path) == "7\n");
}

TEST_CASE("what can't be a pid file says why, and is left alone") {
  const NoLeak no_leak;
  const Directory directory;
  CHECK(pid_file_refusal("/nowhere/x.pid") == "can't use the pid file /nowhere/x.pid: no such file or directory");
  CHECK(contains(pid_file_refusal(directory / "."), "is a directory"));
  const std::string target = directory.write("precious", "text");
  std::filesystem::create_symlink(target, directory / "link");
  CHECK(contains(pid_file_refusal(directory / "link"), "symbolic links"));
  CHECK(read_file(target) == "text");
  check(::mkfifo((directory / "fifo").c_str(), 0600), "mkfifo");
  CHECK(contains(pid_file_refusal(directory / "fifo"), "not a regular file"));
  CHECK(std::filesystem::is_fifo(directory / "fifo"));
}

}  // namespace baton::test
