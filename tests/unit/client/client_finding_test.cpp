// Unit tests of how a client finds its master, and of what it says where there is none.
#include "master/client/client.hpp"

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "master/control/control_path.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/files.hpp"
#include "tests/unit/client/client_runner.hpp"
#include "tests/unit/control/control_server.hpp"

namespace baton::test {
namespace {

/// A user for whom no master of this machine runs, so that none is found but the test's own.
class UserWithoutMasters {
 public:
  UserWithoutMasters() {
    if (is_root_ && ::seteuid(number) == -1) throw std::system_error(errno, std::generic_category(), "seteuid");
  }
  UserWithoutMasters(const UserWithoutMasters&) = delete;
  UserWithoutMasters& operator=(const UserWithoutMasters&) = delete;
  ~UserWithoutMasters() {
    if (is_root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  static constexpr uid_t number = 64'901;
  bool is_root_ = ::geteuid() == 0;
};

}  // namespace

TEST_CASE("client: a socket that can't be reached is named with the cause") {
  const NoLeak no_leak;
  const Directory directory;
  const ClientResult missing = ran({"status", "--control", directory / "x.sock"});
  CHECK(missing.code == 1);
  CHECK(contains(missing.refusal, directory / "x.sock" + ": no such file or directory (no master runs there)"));
  std::optional<ControlServer> server;
  server.emplace();
  const std::string kept = server->directory / "kept";
  std::filesystem::rename(server->path, kept);  // so that it stays, as a killed master's does
  server->control.reset();
  CHECK(contains(ran({"status", "--control", kept}).refusal, "connection refused (its master has ended)"));
  CHECK(contains(ran({"status", "--control", "/" + std::string(200, 'x')}).refusal, "longer than 107 bytes"));
}

TEST_CASE("client: the only master is found, of several one has to be named") {
  const NoLeak no_leak;
  const UserWithoutMasters user;
  const Variable control("BATON_CONTROL");
  const Variable name("BATON_NAME");
  const Directory directory;
  {
    const Variable session("XDG_RUNTIME_DIR");
    const std::string system = control_directory();
    CHECK(ran({"status"}).refusal == "no baton is running (looked in " + system + "; --control names another socket)");
  }
  const Variable session("XDG_RUNTIME_DIR", directory / ".");
  ControlServer server;
  const auto executor = server.context.get_executor();
  const Control first(executor, server.commands, default_control_path("unix:/run/x"));
  CHECK(run(server, {"status"}).code == 0);
  const ClientResult other = run(server, {"status", "--name", "other"});
  CHECK(other.code == 1);
  CHECK(contains(other.refusal, "no baton with the name \"other\" is running"));
  CHECK(contains(other.refusal, "unix:_run_x (pid " + std::to_string(::getpid()) + ")"));

  const Control second(executor, server.commands, default_control_path("b"));
  const ClientResult several = run(server, {"status"});
  CHECK(several.code == 1);
  CHECK(contains(several.refusal, "several batons are running: b (pid "));
  CHECK(contains(several.refusal, "unix:_run_x (pid "));
  CHECK(contains(several.refusal, "--name"));
  CHECK(run(server, {"status", "--name", "b"}).code == 0);
  CHECK(run(server, {"status", "--name", "unix:/run/x"}).code == 0);
  const Variable chosen("BATON_NAME", "b");
  CHECK(run(server, {"status"}).code == 0);
}

TEST_CASE("client: what is no master is not taken for one") {
  const NoLeak no_leak;
  ControlServer server;
  server.control.reset();
  const Listener odd = listen_on(UnixAddress{server.path, 0600}, 4);
  for (const char* says : {"hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", ""}) {
    ClientResult result;
    std::thread client([&] { result = ran({"status", "--control", server.path}); });
    pollfd waiting{odd.socket.get(), POLLIN, 0};
    const bool has_come = ::poll(&waiting, 1, Deadline().left_ms()) == 1;
    if (has_come) {
      const Fd peer{::accept4(odd.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      char request[512];
      CHECK(::recv(peer.get(), request, sizeof request, 0) > 0);
      CHECK(::send(peer.get(), says, std::strlen(says), MSG_NOSIGNAL) == static_cast<ssize_t>(std::strlen(says)));
    }
    client.join();
    CHECK(has_come);
    CHECK(result.code == 1);
    CHECK(contains(result.refusal, *says == '\0' ? "went away" : "no master"));
  }
}

}  // namespace baton::test
