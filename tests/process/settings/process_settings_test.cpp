// Process tests. What a worker's process is given, as seen from inside it and in /proc; and the signals that ask it to
// finish.
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/foreign.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

constexpr uid_t user = 65'533;   // in no list
constexpr gid_t group = 65'532;  // likewise

using Words = std::vector<std::string>;

/// A shell as the worker.
Words with_shell(Words arguments, const std::string& script) {
  arguments.insert(arguments.end(), {"--", "sh", "-c", script});
  return arguments;
}

const std::string get_ready = R"(echo '{"cmd":"NODE_HANDLE_ACK"}' >&3; )";
/// Until a signal.
const std::string wait_on = get_ready + "tail -f /dev/null & wait";

std::string says_on(const std::string& signal) {
  return fmt::format("trap 'echo got {0} >&2; exit 0' {0}; ", signal);
}

bool is_root() {
  if (::geteuid() == 0) return true;
  WARN("only root can be another user");
  return false;
}

/// What stands behind `name` in a worker's line.
std::string said(Baton& baton, const std::string& name) {
  const std::string line = baton.wait_for("| " + name);
  return line.substr(line.find("| " + name) + name.size() + 2);
}

std::string ids_of(pid_t pid, const std::string& field) {
  std::string text = status_of(pid, field);
  for (char& each : text)
    if (each == '\t') each = ' ';
  return text;
}

void drop_capability(unsigned long capability) {
  ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

}  // namespace

TEST_CASE("a command's worker finds itself with what it was to be given") {
  const Directory directory;
  const std::string tell =
      "echo \"cwd $PWD\" >&2; echo \"umask $(umask)\" >&2; echo \"nice $(nice)\" >&2; echo \"soft $(ulimit -S -n)\" "
      ">&2; echo \"hard $(ulimit -H -n)\" >&2; echo \"mine $MINE,$EMPTY.\" >&2; ";
  Baton baton(with_shell({"-w", "1", "--cwd", directory / "", "--umask", "027", "--nice", "7", "--limit-nofile", "99",
                          "--env", "MINE=a,b=c", "--env", "EMPTY="},
                         tell + wait_on));
  CHECK(said(baton, "cwd ") + "/" == directory / "");
  CHECK(said(baton, "umask ") == "0027");
  CHECK(said(baton, "nice ") == "7");
  CHECK(said(baton, "soft ") == "99");
  CHECK(said(baton, "hard ") == "99");
  CHECK(said(baton, "mine ") == "a,b=c,.");
}

TEST_CASE("a path in the command is one from the worker's directory") {
  const Directory directory;
  write_file(directory / "run", "#!/bin/sh\necho \"runs in $PWD\" >&2\nexec tail -f /dev/null\n");
  ::chmod((directory / "run").c_str(), 0755);
  Baton baton({"-w", "1", "--cwd", directory / "", "--", "./run"});
  baton.wait_for("runs in ");
}

TEST_CASE("the embedded worker has them, too, and serves as another user") {
  if (!is_root()) return;
  Baton baton({"-w", "2", "--user", fmt::format("{}:{}", user, group), "--cwd", "/", "--umask", "022", "--nice", "3",
               "--limit-nofile", "200", "--env", "MINE=1"});
  const pid_t pid = baton.pids().front();
  CHECK(answering_pids(baton.address(), 2).size() == 2);
  CHECK(ids_of(pid, "Uid") == fmt::format("{0} {0} {0} {0}", user));
  CHECK(ids_of(pid, "Gid") == fmt::format("{0} {0} {0} {0}", group));
  CHECK(std::stoul(ids_of(pid, "Groups")) == group);
  CHECK(status_of(pid, "Umask") == "0022");
  CHECK(status_of(pid, "CapEff") == "0000000000000000");
  CHECK(std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", pid)) == "/");
  CHECK(::getpriority(PRIO_PROCESS, static_cast<id_t>(pid)) == 3);
  const std::string limits = read_file(fmt::format("/proc/{}/limits", pid));  // prlimit(2) may not see another user's
  CHECK(limits.find("\nMax open files            200                  200 ") != std::string::npos);
  const std::string environment = read_file(fmt::format("/proc/{}/environ", pid));
  CHECK(environment.find(std::string("\0MINE=1", 7)) != std::string::npos);
  // It writes on the scoreboard, and its successors do as well.
  CHECK(baton.status().at("totals").as_object().at("requests").as_int64() >= 2);
  reload(baton);
  const pid_t successor = baton.latest()[1];
  CHECK(ids_of(successor, "Uid") == fmt::format("{0} {0} {0} {0}", user));
}

TEST_CASE("a user of the list brings its groups, its home and its name, unless a variable says otherwise") {
  if (!is_root()) return;
  const std::string tell = "echo \"id $(id -u -n)\" >&2; echo \"home $HOME $USER $LOGNAME\" >&2; ";
  Baton baton(with_shell({"-w", "1", "--user", "nobody", "--env", "LOGNAME=other", "--cwd", "/"}, tell + wait_on));
  CHECK(said(baton, "id ") == "nobody");
  CHECK(said(baton, "home ").ends_with(" nobody other"));
}

TEST_CASE("a worker that runs as another user, and what it starts, can notify the master") {
  if (!is_root()) return;
  // Where that user can run it, which need not be where it was built.
  const Directory directory;
  REQUIRE(::chmod((directory / "").c_str(), 0755) == 0);
  const std::string worker = directory / "worker";
  std::filesystem::copy_file(programs::foreign_worker(), worker);
  Baton baton({"-w", "1", "--ready", "notify", "--cwd", "/", "--user", fmt::format("{}:{}", user, group), "--", worker,
               "notify ready"});
  CHECK(answering_pid(baton.address()) == baton.pids().front());
}

TEST_CASE("a worker that runs as another user reaches its control socket where the directories let it through") {
  if (!is_root()) return;
  const Directory directory;
  const Words all{"-w",    "1", "--user",    fmt::format("{}:{}", user, group),
                  "--cwd", "/", "--control", directory / "control"};
  const std::string ask =
      "curl -s -o /dev/null -w 'asked %{http_code}\\n' --unix-socket $BATON_CONTROL http://-/state >&2; ";
  {
    Baton closed(with_shell(all, ask + wait_on));
    CHECK(said(closed, "asked ") == "000");
    CHECK(
        closed.wait_for("can't reach the workers' control socket")
            .find(fmt::format("chmod o+x {},", std::filesystem::path(directory / "control").parent_path().string())) !=
        std::string::npos);
  }
  REQUIRE(::chmod((directory / "").c_str(), 0711) == 0);
  Baton open(with_shell(all, ask + wait_on));
  CHECK(said(open, "asked ") == "200");
  CHECK(open.count("can't reach") == 0);
}

TEST_CASE("what can't be given to a worker is named, with the reason and the way out") {
  const Directory directory;
  write_file(directory / "run", "#!/bin/sh\n");
  ::chmod((directory / "run").c_str(), 0755);
  const auto fails = [](const Words& arguments) {
    Words all{"-w", "1", "-l", "127.0.0.1:0", "--dialect", "channel"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome outcome = run_baton(all);
    CHECK(outcome.end == "code 1");
    return outcome.errors.substr(outcome.errors.find("baton: "));
  };
  if (!is_root()) return;
  CHECK(
      fails({"--limit-nofile", "2147483647", "--", "sh"}) ==
      "baton: can't start \"sh\": can't set the limit of open files to 2147483647: operation not permitted (above the "
      "hard limit only root may, and nobody above fs.nr_open)\n");
  CHECK(fails({"--user", fmt::format("{}:{}", user, group), "--", directory / "run"}) ==
        fmt::format("baton: can't start \"{}\": permission denied (may user {} execute it? chmod +x it, and its "
                    "directories)\n",
                    directory / "run", user));
}

TEST_CASE("root without the right to change its user says which step failed") {
  if (!is_root()) return;
  const auto [capability, step] = GENERATE(table<unsigned long, std::string>(
      {{CAP_SETUID, "can't change to user 65533: operation not permitted (baton must be root, with CAP_SETUID"},
       {CAP_SETGID, "can't take the groups of user 65533: operation not permitted (baton must be root"}}));
  Program program(
      {{programs::baton(), "-w", "1", "-l", "127.0.0.1:0", "--user", "65533:65533"}, {}, {}, [dropped = capability] {
         drop_capability(dropped);
       }});
  CHECK(program.wait_for_end() == "code 1");
  CHECK(program.errors().find("baton: can't start \"baton\": " + step) != std::string::npos);
}

TEST_CASE("a directory that goes is an error of the next start, and a reload brings another") {
  const Directory directory;
  std::filesystem::create_directory(directory / "a");
  write_file(directory / "file", fmt::format("cwd = \"{}\"\n", directory / "a"));
  Baton baton({"-w", "1", "-l", "127.0.0.1:0", "-c", directory / "file"});
  const Worker worker = baton.workers().front();
  std::filesystem::remove(directory / "a");
  ::kill(worker.pid, SIGKILL);
  baton.wait_for(
      fmt::format("can't start \"baton\": can't change to the directory {}: no such file or directory "
                  "(--cwd names it)",
                  directory / "a"));
  write_file(directory / "file", "cwd = \"/\"\n");
  baton.signal(SIGHUP);
  const Worker successor = baton.wait_for_successor(worker);
  CHECK(std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", successor.pid)) == "/");
}

TEST_CASE("a worker that is replaced gets the reload signal, and one that is too many the stop signal") {
  Baton baton(with_shell({"-w", "2", "--stop-signal", "QUIT", "--reload-signal", "SIGUSR2"},
                         says_on("QUIT") + says_on("USR2") + says_on("TERM") + wait_on));
  baton.workers();
  reload(baton);
  baton.program().wait_for("got USR2", 2);
  CHECK(baton.count("got QUIT") == 0);
  baton.signal(SIGTTOU);
  CHECK(baton.wait_for("got QUIT").starts_with("worker 2 "));
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(baton.count("got QUIT") == 2);
  CHECK(baton.count("got USR2") == 2);
  CHECK(baton.count("got TERM") == 0);
  CHECK(baton.count(" has finished") == 4);
}

TEST_CASE("the stop signal is that of a reload, too, and an end by it was asked for") {
  // No handler: the signal itself ends it.
  Baton baton(with_shell({"-w", "1", "--stop-signal", "12"}, get_ready + "exec tail -f /dev/null"));
  baton.workers();
  reload(baton);
  baton.wait_for(" has finished");
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(baton.count(" has finished") == 2);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("a worker that dies by the stop signal unasked has died") {
  Baton baton(with_shell({"-w", "1", "--stop-signal", "USR2"}, get_ready + "exec tail -f /dev/null"));
  const Worker worker = baton.workers().front();
  ::kill(worker.pid, SIGUSR2);
  baton.wait_for("was killed by SIGUSR2");
  baton.wait_for_successor(worker);
}

TEST_CASE("a worker that does not finish by the stop signal gets TERM after its time") {
  Baton baton(with_shell({"-w", "1", "--stop-signal", "QUIT", "--drain-timeout", "50ms"},
                         "trap '' QUIT; " + says_on("TERM") + wait_on));
  baton.workers();
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(baton.count("got TERM") == 1);
  CHECK(baton.count("did not finish within 50 ms") == 1);
}

TEST_CASE("the embedded worker finishes by another of its signals") {
  const std::string signal = GENERATE("INT", "QUIT");
  Baton baton({"-w", "1", "--stop-signal", signal, "--reload-signal", "TERM"});
  baton.workers();
  reload(baton);
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(baton.count(" has finished") == 2);
}

TEST_CASE("a setting of the process is a variable and a line of the file, too") {
  const Directory directory;
  write_file(directory / "file", "env = [\"A=1,2\", \"B=3\"]\nstop-signal = \"QUIT\"\n");
  const std::string script = "echo \"sees $A $B $C\" >&2; " + says_on("QUIT") + wait_on;
  Words arguments = with_shell({"-w", "1", "-l", "127.0.0.1:0", "-c", directory / "file"}, script);
  SECTION("the file") {
    Baton baton(arguments);
    baton.workers();
    CHECK(said(baton, "sees ") == "1,2 3 ");
    CHECK(baton.stop(SIGTERM) == "code 0");
    CHECK(baton.count("got QUIT") == 1);
  }
  SECTION("a variable, line by line") {
    Baton baton(arguments, {{"BATON_ENV=A=x,y\nC=z"}, {}, {}});
    CHECK(said(baton, "sees ") == "x,y  z");
  }
}
