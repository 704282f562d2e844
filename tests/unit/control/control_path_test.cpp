// Unit tests of where control sockets are, and of the table of verbs.
#include "master/control/control_path.hpp"

#include <sys/stat.h>

#include <boost/json/parse.hpp>
#include <filesystem>

#include "common/error.hpp"
#include "master/control/verbs.hpp"
#include "master/listeners/listener.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
TEST_CASE("control path: the directory is the session's, else the user's own") {
  const std::string system = ::geteuid() == 0 ? "/run/baton" : "/tmp/baton-" + std::to_string(::geteuid());
  {
    const Variable session("XDG_RUNTIME_DIR", "/run/user/7");
    CHECK(control_directory() == "/run/user/7/baton");
    CHECK(control_directories() == std::vector<std::string>{"/run/user/7/baton", system});
  }
  for (const char* none : {"", "relative"}) {
    const Variable session("XDG_RUNTIME_DIR", none);
    CHECK(control_directory() == system);
  }
  const Variable session("XDG_RUNTIME_DIR");
  CHECK(control_directory() == system);
  CHECK(control_directories() == std::vector<std::string>{system});
}

TEST_CASE("control path: the file has the master's name") {
  CHECK(control_path("/d", "127.0.0.1:1337") == "/d/127.0.0.1:1337.sock");
  CHECK(control_path("/d", "unix:/run/x.sock") == "/d/unix:_run_x.sock.sock");
  CHECK(control_path("/d", "../x") == "/d/.._x.sock");
}

TEST_CASE("control path: the directory is made for us alone, and nobody else may write to it") {
  const Directory directory;
  const Variable session("XDG_RUNTIME_DIR", directory / "");
  const mode_t old = ::umask(0);
  const std::string path = default_control_path("a/b");
  ::umask(old);
  const std::string made = std::filesystem::path(path).parent_path().string();
  CHECK(path == control_directory() + "/a_b.sock");
  CHECK(mode_of(made) == 0711);
  CHECK(default_control_path("a/b") == path);

  std::filesystem::permissions(made, std::filesystem::perms(0755));  // systemd's RuntimeDirectory=
  CHECK(default_control_path("a/b") == path);
  std::filesystem::permissions(made, std::filesystem::perms(0770));
  const std::string open = message_of<StartError>([] { default_control_path("x"); });
  CHECK(contains(open, made));
  CHECK(contains(open, "0770"));
  CHECK(contains(open, "chmod 700"));
  CHECK(running_masters(made).empty());

  std::filesystem::remove(made);
  std::filesystem::create_directory_symlink("/tmp", made);
  CHECK(contains(message_of<StartError>([] { default_control_path("x"); }), "not a directory"));
}

TEST_CASE("control path: the directory that keeps a user out is the outermost, and its owner has a bit of his own") {
  const Directory directory;
  const std::string outer = std::filesystem::path(directory / "inner").parent_path();
  const std::string inner = outer + "/inner";
  std::filesystem::create_directory(inner);
  constexpr uid_t other = 65'533;
  const auto set = [](const std::string& path, unsigned mode) {
    std::filesystem::permissions(path, std::filesystem::perms(mode));
  };
  set(inner, 0711);
  set(outer, 0710);
  CHECK(directory_closed_to(other, inner + "/socket") == outer);
  set(outer, 0711);
  CHECK(directory_closed_to(other, inner + "/socket").empty());
  set(inner, 0700);
  CHECK(directory_closed_to(other, inner + "/socket") == inner);
  CHECK(directory_closed_to(::geteuid(), inner + "/socket").empty());
}

TEST_CASE("control path: another user's directory is refused") {
  if (::geteuid() != 0) {
    WARN("not run as root: another user's directory can't be made, so this is not tested");
    return;
  }
  const Directory directory;
  const Variable session("XDG_RUNTIME_DIR", directory / "");
  const std::string made = std::filesystem::path(default_control_path("x")).parent_path().string();
  check(::chown(made.c_str(), 65'534, 65'534), "chown");
  CHECK(contains(message_of<StartError>([] { default_control_path("x"); }), "user with the number 65534"));
}

TEST_CASE("control path: where there can be no directory, the way out is named") {
  const Variable session("XDG_RUNTIME_DIR", "/nowhere/at/all");
  const std::string message = message_of<StartError>([] { default_control_path("x"); });
  CHECK(contains(message, "/nowhere/at/all/baton"));
  CHECK(contains(message, "no such file or directory"));
  CHECK(contains(message, "--control"));
}

TEST_CASE("control path: running masters are those that a connection reaches") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string in = directory / ".";
  const auto listen = [&](const char* name) { return listen_on(UnixAddress{directory / name, 0600}, 16); };
  const Listener b = listen("b.sock");
  const Listener a = listen("a:1.sock");
  const Listener other = listen("no-control-socket");
  Listener dead = listen("dead.sock");
  dead.socket.reset();
  static_cast<void>(directory.write("file.sock", ""));
  const auto found = running_masters(in);
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "a:1");
  CHECK(found[0].pid == ::getpid());
  CHECK(found[1].path == in + "/b.sock");
  CHECK(running_masters("/nowhere").empty());
}

TEST_CASE("verbs: every path, method and command is there once, and all forms show them") {
  const auto json = boost::json::parse(verbs_json(Audience::owner)).at("verbs").as_array();
  REQUIRE(json.size() == verbs().size());
  for (std::size_t i = 0; i < verbs().size(); ++i) {
    const Verb& verb = verbs()[i];
    CHECK(verb_at(verb.method, verb.path) == &verb);
    CHECK(json[i].at("method").as_string() == boost::json::string_view(verb.method));
    CHECK(json[i].at("help").as_string() == boost::json::string_view(verb.help));
    if (verb.command.empty()) continue;
    CHECK(verb_of_command(verb.command) == &verb);
    CHECK(contains(verbs_help(), "baton " + std::string(verb.command)));
  }
  CHECK(verb_at("GET", "/nothing") == nullptr);
  CHECK(verb_of_command("") == nullptr);
}

TEST_CASE("verbs: docs/control.md holds the table") {
  const std::string document = read_file(BATON_SOURCE_DIR "/docs/control.md");
  INFO("the table:\n" << verbs_table_markdown());
  CHECK(contains(document, "\n\n" + verbs_table_markdown() + "\n"));
}

}  // namespace baton::test
