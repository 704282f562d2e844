// Interop tests. `baton init`: what it writes is what baton and systemd take.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/program.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

namespace {

using Words = std::vector<std::string>;

struct Initialized {
  Initialized(const Directory& directory, const Words& arguments) {
    Words command{programs::baton(), "init"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    Program program({command, {}, {}, [&] { static_cast<void>(::chdir((directory / "").c_str())); }});
    end = program.wait_for_end();
    output = program.output();
    errors = program.errors();
  }
  std::string end;
  std::string output;
  std::string errors;
};

}  // namespace

TEST_CASE("init: baton runs with the file, and systemd takes the unit") {
  const Directory directory;
  const Initialized done(directory, {"-w", "1", "-l", "127.0.0.1:0", "--state-file", "state of it.db", "--",
                                     "/usr/bin/python3", "-c", "print('50% of $HOME')"});
  CHECK(done.errors.empty());
  CHECK(done.end == "code 0");
  CHECK(done.output.starts_with(
      fmt::format("wrote {0}\nwrote {1}\n", directory / "baton.toml", directory / "baton.service")));
  const std::string here = std::filesystem::path(directory / "x").parent_path().string();
  CHECK(read_file(directory / "baton.service").find("\nReadWritePaths=-" + here + "\n") != std::string::npos);
  if (!is_installed("systemd-analyze")) return;
  Program verify(
      {{"systemd-analyze", "verify", "--man=no", "--recursive-errors=no", directory / "baton.service"}, {}, {}, {}});
  CHECK(verify.wait_for_end() == "code 0");
  CHECK(verify.errors().empty());
}

TEST_CASE("init: without a command it is for baton's own workers") {
  const Directory directory;
  const Initialized done(directory, {"-l", "127.0.0.1:0", "-w", "1", "-o", directory / ""});
  CHECK(done.errors.empty());
  Baton baton({"-c", directory / "baton.toml"});
  CHECK(answering_pid(baton.address()) == baton.pids().front());
}

TEST_CASE("init: the unit runs as the user and the group that were named") {
  if (::geteuid() != 0) {
    WARN("only root can name another user");
    return;
  }
  const auto [flags, user, group] = GENERATE(table<Words, std::string, std::string>({
      {{"--user", "33"}, "DynamicUser=no\nUser=33\n", ""},
      {{"--user", "33:4"}, "DynamicUser=no\nUser=33\n", "Group=4\n"},
      {{"--user", "33", "--group", "4"}, "DynamicUser=no\nUser=33\n", "Group=4\n"},
      {{"--group", "4"}, "DynamicUser=yes\n", "Group=4\n"},
  }));
  CAPTURE(flags);
  const Directory directory;
  Words arguments = flags;
  arguments.insert(arguments.end(), {"--", "/bin/true"});
  CHECK(Initialized(directory, arguments).end == "code 0");
  const std::string unit = read_file(directory / "baton.service");
  CHECK(unit.find("\n" + user + group + "RuntimeDirectory=") != std::string::npos);
  CHECK(unit.find("\nGroup=") == (group.empty() ? std::string::npos : unit.find("\n" + group)));
}

TEST_CASE("init: nothing is overwritten, unless that was asked for") {
  const Directory directory;
  write_file(directory / "baton.service", "mine");
  const Initialized refused(directory, {});
  CHECK(refused.end == "code 1");
  CHECK(refused.errors ==
        fmt::format("baton: {} is there already (--force replaces it)\n", directory / "baton.service"));
  CHECK_FALSE(std::filesystem::exists(directory / "baton.toml"));
  CHECK(Initialized(directory, {"--force"}).end == "code 0");
  CHECK(read_file(directory / "baton.service").starts_with("[Unit]\n"));
}

TEST_CASE("init: wrong usage, and where nothing can be written") {
  const Directory directory;
  const auto [arguments, end, error] = GENERATE(table<Words, std::string, std::string>({
      {{"--"}, "code 2", "baton: the command after \"--\" is missing (like: baton init -- gunicorn app:app)\n"},
      {{"--wrokers", "3"}, "code 2", "baton: unknown flag --wrokers (did you mean --workers?)\n"},
      {{"-w", "none"}, "code 2", "baton: --workers: "},
      {{"--policy", "own-port", "-w", "2"},
       "code 2",
       "baton: --listen: [::]:1337: own-port wants a port for each worker: "},
      {{"--", "no-such-program"}, "code 1", "baton: can't start \"no-such-program\": "},
  }));
  const Initialized done(directory, arguments);
  CHECK(done.end == end);
  CHECK(done.errors.starts_with(error));
  CHECK(done.output.empty());
  CHECK(std::filesystem::is_empty(directory / ""));

  const Initialized nowhere(directory, {"-o", directory / "missing"});
  CHECK(nowhere.end == "code 1");
  CHECK(nowhere.errors ==
        fmt::format("baton: can't write {}: no such file or directory (make the directory, or name another by -o)\n",
                    directory / "missing/baton.toml"));
}
