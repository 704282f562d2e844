// Unit tests of the control socket: the file, who may use it, and what it costs in descriptors.
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/control/control_server.hpp"

namespace baton::test {

TEST_CASE("control: the socket is the user's alone, and descriptors stay in this process") {
  ControlServer server;
  struct stat found {};
  check(::lstat(server.path.c_str(), &found), "lstat");
  CHECK((found.st_mode & 0777) == 0600);
  ControlPeer peer(server);
  CHECK(peer.request("GET /").status == 200);
  for (const std::string& each : open_descriptors()) {
    const int number = std::stoi(each);
    if (number <= STDERR_FILENO || contains(each, "/proc/")) continue;
    const bool is_ours = contains(each, "socket:") || contains(each, "anon_inode");
    if (is_ours) CHECK((::fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("control: a second master on the same path is refused, and told who is there") {
  const NoLeak no_leak;
  ControlServer server;
  const std::string message = message_of<StartError>(
      [&] { const Control second(server.context.get_executor(), server.commands, server.path); });
  CHECK(contains(message, server.path));
  CHECK(contains(message, "another process listens there (pid " + std::to_string(::getpid()) + ")"));
  CHECK(contains(message, "--control"));
  ControlPeer peer(server);
  CHECK(peer.request("GET /status").status == 200);
}

TEST_CASE("control: a path that can't be is refused with the way out") {
  ControlServer server;
  const auto refused = [&](const std::string& path) {
    return message_of<StartError>([&] { const Control other(server.context.get_executor(), server.commands, path); });
  };
  CHECK(contains(refused("/" + std::string(107, 'x')), "longer than 107 bytes"));
  CHECK(contains(refused(""), "empty"));
  CHECK(contains(refused("/nowhere/x.sock"), "directory does not exist"));
  CHECK(contains(refused(server.directory.write("file", "")), "not a socket"));
}

TEST_CASE("control: another user gets 403, whatever became of the file's mode") {
  if (::geteuid() != 0) {
    WARN("not run as root: another user can't be played, so 403 is not tested");
    return;
  }
  const NoLeak no_leak;
  ControlServer server;
  std::filesystem::permissions(server.path, std::filesystem::perms::all);
  std::filesystem::permissions(std::filesystem::path(server.path).parent_path(), std::filesystem::perms::all);
  // The credentials are those at connect(2).
  REQUIRE(::seteuid(65'534) == 0);
  std::optional<ControlPeer> other;
  try {
    other.emplace(server);
  } catch (const std::system_error&) {
    REQUIRE(::seteuid(0) == 0);
    throw;
  }
  REQUIRE(::seteuid(0) == 0);
  other->send("POST /stop HTTP/1.1\r\n\r\n");
  const ControlAnswer answer = other->answer();
  CHECK(answer.status == 403);
  CHECK_FALSE(answer.keeps_alive);
  CHECK(server.commands.asked.empty());
  other.reset();
  server.settle();
}

#ifndef __SANITIZE_ADDRESS__  // which needs a descriptor of its own there, and ends the program without one
TEST_CASE("control: without a descriptor left it waits instead of spinning, and goes on when there is one") {
  const NoLeak no_leak;
  const CapturedErrors errors;
  ControlServer server;
  server.settle();
  std::optional<DescriptorLimit> limit(1);
  ControlPeer peer(server);  // takes the last one
  server.settle();
  int turns = 0;
  const Deadline soon(300ms);
  while (!soon.has_passed()) {
    server.context.restart();
    turns += static_cast<int>(server.context.run_one_for(10ms));
  }
  CHECK(turns < 50);
  CHECK(count_of(errors.text(), "too many open files") == 1);
  limit.reset();
  CHECK(peer.request("GET /status").status == 200);
}
#endif

TEST_CASE("control: without a descriptor left an idle connection gives way to a new one") {
  const NoLeak no_leak;
  ControlServer server;
  ControlPeer idle(server);
  CHECK(idle.request("GET /status").status == 200);
  const DescriptorLimit limit(1);
  ControlPeer good(server);
  CHECK(good.request("GET /status").status == 200);
  CHECK(idle.is_closed());
}

}  // namespace baton::test
