// Unit tests of the settings of a worker's process.
#include "master/settings/process_options.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "common/error.hpp"
#include "master/settings/options.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

using Words = std::vector<std::string>;

ProcessSettings parsed(Words arguments) {
  arguments.insert(arguments.end(), {"--", "node"});
  return parse_options(arguments).process;
}

std::string process_refusal(Words arguments) {
  arguments.insert(arguments.end(), {"--", "node"});
  return message_of<UsageError>([&] { parse_options(arguments); });
}

std::string refused_of_embedded(const Words& arguments) {
  return message_of<UsageError>([&] { parse_options(arguments); });
}

/// Whether it holds in a process of that user.
bool holds_as(uid_t user, const std::function<bool()>& condition) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_other = ::setresgid(user, user, user) == 0 && ::setresuid(user, user, user) == 0;
    ::_exit(is_other && condition() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

}  // namespace

TEST_CASE("nothing is set by default, and a worker is asked to finish by TERM") {
  const ProcessSettings settings = parsed({});
  CHECK(settings.asks_to_stop() == SIGTERM);
  CHECK(settings.asks_to_give_way() == SIGTERM);
  CHECK(settings.directory.empty());
  CHECK(settings.variables.empty());
  CHECK_FALSE(settings.account);
  CHECK_FALSE(settings.umask);
  CHECK_FALSE(settings.nice);
  CHECK_FALSE(settings.open_files);
  CHECK_FALSE(settings.raw_output);
  CHECK(settings.output.empty());
}

TEST_CASE("a signal by name, with and without SIG, in any case, and by number") {
  for (const char* each : {"USR2", "SIGUSR2", "usr2", "sigusr2", "12"})
    CHECK(parsed({"--stop-signal", each}).asks_to_stop() == SIGUSR2);
  CHECK(parsed({"--stop-signal", "USR2"}).asks_to_give_way() == SIGUSR2);
  const ProcessSettings both = parsed({"--stop-signal", "QUIT", "--reload-signal", "USR2"});
  CHECK(both.asks_to_stop() == SIGQUIT);
  CHECK(both.asks_to_give_way() == SIGUSR2);
  CHECK(parsed({"--reload-signal", "USR2"}).asks_to_stop() == SIGTERM);
}

TEST_CASE("what is no signal, or asks for nothing, is refused") {
  for (const char* each : {"", "SIG", "FOO", "0", "-1", "65", "15x"})
    CHECK(contains(process_refusal({"--stop-signal", each}), "is no signal (like TERM, SIGUSR2 or 15)"));
  CHECK(contains(process_refusal({"--stop-signal", "KILL"}), "--stop-signal: KILL can't ask for anything"));
  CHECK(contains(process_refusal({"--reload-signal", "19"}), "--reload-signal: 19 can't ask for anything"));
  CHECK(refused_of_embedded({"--stop-signal", "USR2"}) ==
        "--stop-signal: the embedded worker finishes by TERM, INT or QUIT, not by USR2");
  CHECK(contains(refused_of_embedded({"--reload-signal", "HUP"}), "--reload-signal: the embedded worker"));
  CHECK(parse_options({"--stop-signal", "QUIT"}).process.asks_to_stop() == SIGQUIT);
}

TEST_CASE("variables: of one that is there twice the last, and none of baton's own") {
  CHECK(parsed({"--env", "A=1,2", "--env", "B=", "--env", "A=x=y"}).variables == Words{"B=", "A=x=y"});
  const Variable variable("BATON_ENV", "A=1,2\nB=3");
  CHECK(parsed({}).variables == Words{"A=1,2", "B=3"});
  CHECK(parsed({"--env", "C=1"}).variables == Words{"C=1"});
  CHECK(process_refusal({"--env", "A"}) == "--env: \"A\" has no value (like A=1, or A= for an empty one)");
  CHECK(contains(process_refusal({"--env", "=1"}), "has no name"));
  for (const char* each : {"NODE_CHANNEL_FD", "LISTEN_FDS", "BATON_WORKER", "BATON_START", "NOTIFY_SOCKET"})
    CHECK(process_refusal({"--env", std::string(each) + "=1"}) ==
          std::string("--env: ") + each + " can't be set: baton itself tells its workers by it");
}

TEST_CASE("umask, niceness and the limit of open files have their ranges") {
  CHECK(parsed({"--umask", "027"}).umask == mode_t{027});
  CHECK(parsed({"--umask", "0"}).umask == mode_t{0});
  for (const char* each : {"", "8", "1000", "-1", "rwx"})
    CHECK(contains(process_refusal({"--umask", each}), "is no umask (octal, 0 to 777, like 027)"));
  CHECK(parsed({"--nice", "19"}).nice == 19);
  for (const char* each : {"", "20", "-21", "1.5"})
    CHECK(contains(process_refusal({"--nice", each}), "is no niceness (-20 to 19)"));
  CHECK(parsed({"--limit-nofile", "64"}).open_files == rlim_t{64});
  for (const char* each : {"", "15", "-1", "many"})
    CHECK(contains(process_refusal({"--limit-nofile", each}), "is not a limit of open files (16 to "));
}

TEST_CASE("the directory must be one") {
  CHECK(parsed({"--cwd", "/"}).directory == "/");
  CHECK(process_refusal({"--cwd", "/no/such"}) == "--cwd: /no/such: no such file or directory");
  CHECK(process_refusal({"--cwd", "/etc/passwd"}) == "--cwd: /etc/passwd is no directory");
}

TEST_CASE("raw output and a file for it exclude each other, and the embedded worker has no output but its log") {
  CHECK(parsed({"--raw-output"}).raw_output);
  CHECK(parsed({"--output", "/x"}).output == "/x");
  CHECK(contains(process_refusal({"--raw-output", "--output", "/x"}), "leave one of them out"));
  CHECK(contains(process_refusal({"--output", "/x/"}), "is no file's name"));
  CHECK(contains(refused_of_embedded({"--output", "/x"}), "--output: it is for a command's workers"));
}

TEST_CASE("a user and a group, by name or number") {
  if (::geteuid() != 0) {
    WARN("only root can be another user");
    return;
  }
  const passwd* nobody = ::getpwnam("nobody");
  REQUIRE(nobody != nullptr);
  const uid_t user = nobody->pw_uid;
  const gid_t group = nobody->pw_gid;
  for (const std::string& each : {std::string("nobody"), std::to_string(user)}) {
    const Account account = parsed({"--user", each}).account.value();
    CHECK(account.name == "nobody");
    CHECK(account.user == user);
    CHECK(account.group == group);
    CHECK(account.groups.front() == group);
  }
  CHECK(parsed({"--user", "nobody:7"}).account->group == 7);
  CHECK(parsed({"--user", "nobody", "--group", "7"}).account->group == 7);
  CHECK(parsed({"--user", "4242:7"}).account->user == 4242);
  CHECK(parsed({"--user", "4242:7"}).account->groups == std::vector<gid_t>{7});
  CHECK(parsed({"--group", "7"}).account->user == 0);
  CHECK(parsed({"--group", ::getgrgid(group)->gr_name}).account->group == group);
}

TEST_CASE("a user or group that can't be had is refused, with the reason") {
  CHECK(contains(process_refusal({"--user", "no such"}),
                 "--user: there is no user \"no such\" (getent passwd lists them)"));
  CHECK(contains(process_refusal({"--user", "root:no such"}), "--user: there is no group \"no such\""));
  CHECK(contains(process_refusal({"--group", "no such"}), "--group: there is no group \"no such\""));
  CHECK(contains(process_refusal({"--user", "4242"}), "so its group has to be named (4242:GROUP)"));
  CHECK(
      contains(process_refusal({"--user", "root:0", "--group", "0"}), "--group: --user root:0 names a group already"));
  CHECK(contains(process_refusal({"--user", ":0"}), "is not of the form USER:GROUP"));
  CHECK(contains(process_refusal({"--user", "4294967295:0"}), "there is no user"));
}

TEST_CASE("only root may change the user, lower the niceness and raise a hard limit") {
  if (::geteuid() != 0) {
    WARN("only root can be another user");
    return;
  }
  constexpr uid_t user = 4242;
  const auto is_refused = [](const Words& arguments, const std::string& why) {
    return holds_as(user, [&] { return contains(process_refusal(arguments), why); });
  };
  CHECK(is_refused({"--user", "root"}, "--user: only root can change to another user"));
  CHECK(is_refused({"--group", "0"}, "--group: only root can change to another group"));
  CHECK(is_refused({"--nice", "-20"}, "--nice: -20 is lower than baton's own"));
  CHECK(is_refused({"--limit-nofile", "2000000000"}, "--limit-nofile: 2000000000 is above the hard limit"));
  CHECK(holds_as(user, [] { return !parsed({"--user", "4242:4242"}).account; }));
}

}  // namespace baton::test
