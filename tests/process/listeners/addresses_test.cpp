// Process tests. The kinds of addresses: several at once, both families, Unix sockets with their files.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"

using namespace baton::test;

namespace {}  // namespace

TEST_CASE("several listeners are answered by the same workers") {
  const Directory directory;
  Baton baton({"-w", "1", "-l", "127.0.0.1:0", "-l", "127.0.0.1:0", "-l", "[::1]:0", "-l", "unix:" + directory / "x"});
  REQUIRE(baton.addresses().size() == 4);
  CHECK(baton.addresses()[0] != baton.addresses()[1]);
  for (const std::string& each : baton.addresses()) CHECK(answering_pid(each) == baton.pids().front());
}

TEST_CASE("an address of all interfaces is both families'") {
  Baton baton({"-w", "1", "-l", ":0"});
  CHECK(baton.address().starts_with("[::]:"));
  CHECK(answering_pid("127.0.0.1:" + port_of(baton.address())) == baton.pids().front());
  CHECK(answering_pid("[::1]:" + port_of(baton.address())) == baton.pids().front());
}

TEST_CASE("an IPv6 address is announced in brackets") {
  Baton baton({"-w", "1", "-l", "[::1]:0"});
  CHECK(baton.address().starts_with("[::1]:"));
  answering_pid(baton.address());
}

TEST_CASE("the port of addresses without one is --port") {
  Baton chosen({"-w", "1", "-p", "0", "-l", "127.0.0.1"});
  const std::string port = port_of(chosen.address());
  CHECK(chosen.stop(SIGTERM) == "code 0");
  Baton baton({"-w", "1", "-p", port, "-l", "127.0.0.1"});
  CHECK(baton.address() == "127.0.0.1:" + port);
  answering_pid(baton.address());
}

TEST_CASE("a restart on the same port is not held up by the connections of before") {
  std::string address;
  {
    Baton first({"-w", "1"});
    address = first.address();
    answering_pid(address);  // closed by the server, whose side is the one that lingers
  }
  Baton second({"-w", "1", "-l", address});
  answering_pid(address);
}

TEST_CASE("a Unix socket's file has the mode that was asked for, or the umask's") {
  const Directory directory;
  const auto wide = [] { ::umask(0); };
  Baton baton({"-w", "1", "-l", "unix:" + directory / "a?mode=0600", "-l", "unix:" + directory / "b?mode=666", "-l",
               "unix:" + directory / "c"},
              {{}, {}, wide});
  for (const char* each : {"a", "b", "c"}) CHECK(std::filesystem::is_socket(directory / each));
  CHECK(mode_of(directory / "a") == 0600);
  CHECK(mode_of(directory / "b") == 0666);
  CHECK(mode_of(directory / "c") == 0777);
  CHECK(baton.address() == "unix:" + directory / "a");
  answering_pid(baton.address());
}

TEST_CASE("a socket file that a dead baton left is taken over") {
  const Directory directory;
  const std::string address = "unix:" + directory / "x.sock";
  {
    Baton killed({"-w", "1", "-l", address});
    const baton::Fd worker = open_pidfd(killed.pids().front());
    killed.stop(SIGKILL);
    CHECK(has_ended(worker));
  }
  REQUIRE(std::filesystem::exists(directory / "x.sock"));
  Baton baton({"-w", "1", "-l", address});
  CHECK(answering_pid(address) == baton.pids().front());
}

TEST_CASE("a socket file that another has put in the place of ours is left alone") {
  const Directory directory;
  const std::string path = directory / "x.sock";
  Baton baton({"-w", "1", "-l", "unix:" + path});
  baton.workers();
  std::filesystem::remove(path);
  Baton successor({"-w", "1", "-l", "unix:" + path});
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK(answering_pid(successor.address()) == successor.pids().front());
}

TEST_CASE("an abstract Unix socket has no file") {
  const std::string name = fmt::format("@baton-test-{}", ::getpid());
  Baton baton({"-w", "1", "-l", "unix:" + name});
  CHECK(answering_pid("unix:" + name) == baton.pids().front());
  CHECK_FALSE(std::filesystem::exists(name));
}
