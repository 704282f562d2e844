// Unit tests of binding and listening, on loopback ports that the kernel chooses and sockets in a directory of ours.
#include "master/listeners/listener.hpp"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "common/error.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

Listener listen(const std::string& text) {
  return listen_on(parse_address(text, 0), 16);
}

std::string listener_refusal(const std::string& text) {
  return message_of<StartError>([&] { listen(text); });
}

bool is_listening(const Fd& fd) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value == 1;
}

bool can_connect(const std::string& path) {
  const Fd client{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

TEST_CASE("port 0 is announced as what it became") {
  const NoLeak no_leak;
  const Listener listener = listen("127.0.0.1:0");
  CHECK(is_listening(listener.socket));
  CHECK(listener.address.starts_with("127.0.0.1:"));
  CHECK(listener.address != "127.0.0.1:0");
  CHECK_FALSE(listener.file);
  CHECK((::fcntl(listener.socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(listener.socket.get(), F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("every address means both families, where there are both") {
  const Listener listener = listen(":0");
  const std::string port = listener.address.substr(listener.address.rfind(':'));
  if (listener.address.starts_with("[::]"))
    CHECK(contains(listener_refusal("0.0.0.0" + port), "address already in use"));
  else
    CHECK(listener.address == "0.0.0.0" + port);
}

TEST_CASE("a port in use is an error that names it and the way out") {
  const NoLeak no_leak;
  const Listener listener = listen("127.0.0.1:0");
  const std::string message = listener_refusal(listener.address);
  const std::string port = listener.address.substr(listener.address.rfind(':') + 1);
  CHECK(message.starts_with("can't listen on " + listener.address + ": address already in use"));
  CHECK(contains(message, "'sport = :" + port + "'"));
  CHECK(contains(message, "--port"));
}

TEST_CASE("an address of no interface here is an error that says so") {
  const std::string message = listener_refusal("192.0.2.1:0");  // reserved for documentation
  CHECK(message.starts_with("can't listen on 192.0.2.1:0: "));
  CHECK(contains(message, "no interface of this machine"));
}

TEST_CASE("a Unix socket has its file while it lives") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory / "x.sock";
  {
    const Listener listener = listen("unix:" + path);
    CHECK(is_listening(listener.socket));
    CHECK(listener.address == "unix:" + path);
    CHECK(can_connect(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a Unix socket's mode is the one asked for, whatever the umask, or the umask's") {
  const Directory directory;
  const mode_t old = ::umask(0027);
  const std::string path = directory / "x.sock";
  {
    const Listener listener = listen("unix:" + path + "?mode=0666");
    CHECK(mode_of(path) == 0666);
  }
  {
    const Listener listener = listen("unix:" + path);
    CHECK(mode_of(path) == 0750);
  }
  {
    const Listener listener = listen("unix:" + path + "?mode=0000");
    CHECK(mode_of(path) == 0);
  }
  CHECK(::umask(old) == 0027);
}

TEST_CASE("the umask is put back when binding fails, too") {
  const mode_t old = ::umask(0027);
  listener_refusal("unix:/nowhere/x.sock?mode=0600");
  CHECK(::umask(old) == 0027);
}

TEST_CASE("a stale socket file is taken over") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory / "x.sock";
  {
    // As a killed process leaves it: the socket is closed, the file is there.
    Listener killed = listen("unix:" + path);
    killed.socket.reset();
    const Listener successor = listen("unix:" + path);
    CHECK(can_connect(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a socket file that somebody listens on is refused and left alone") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory / "x.sock";
  const Listener listener = listen("unix:" + path);
  const std::string message = listener_refusal("unix:" + path);
  CHECK(message.starts_with("can't listen on unix:" + path + ": another process listens there"));
  CHECK(contains(message, "(pid " + std::to_string(::getpid()) + ")"));
  CHECK(can_connect(path));
}

TEST_CASE("a file that is no socket is refused and left alone") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory.write("precious", "text");
  CHECK(contains(listener_refusal("unix:" + path), "is not a socket"));
  CHECK(read_file(path) == "text");

  const std::string link = directory / "link";
  std::filesystem::create_symlink(path, link);
  CHECK(contains(listener_refusal("unix:" + link), "is not a socket"));
  CHECK(std::filesystem::is_symlink(link));
}

TEST_CASE("a directory that is not there is named as the cause") {
  const NoLeak no_leak;
  CHECK(contains(listener_refusal("unix:/nowhere/at/all/x.sock"), "directory does not exist"));
}

TEST_CASE("a successor's socket file is left alone") {
  const NoLeak no_leak;
  const Directory directory;
  const std::string path = directory / "x.sock";
  std::optional<Listener> first = listen("unix:" + path);
  std::filesystem::rename(path, directory / "moved");  // so that the inode is not free for the next
  const Listener second = listen("unix:" + path);
  first.reset();
  CHECK(can_connect(path));
}

TEST_CASE("a moved socket file is removed once, by its last owner") {
  const Directory directory;
  const std::string path = directory / "x.sock";
  Listener listener = listen("unix:" + path);
  std::optional<SocketFile> owner = std::move(listener.file);
  listener.file.reset();
  CHECK(std::filesystem::exists(path));
  const std::string other_path = directory / "y.sock";
  Listener other = listen("unix:" + other_path);
  *owner = std::move(*other.file);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(std::filesystem::exists(other_path));
  owner.reset();
  CHECK_FALSE(std::filesystem::exists(other_path));
}

TEST_CASE("an abstract socket has no file, and its name is taken once") {
  const NoLeak no_leak;
  const std::string address = "unix:@baton-unit-" + std::to_string(::getpid());
  const Listener listener = listen(address);
  CHECK(is_listening(listener.socket));
  CHECK_FALSE(listener.file);
  CHECK(listener.address == address);
  CHECK(contains(listener_refusal(address), "another process has that name"));
}

TEST_CASE("a failure to listen leaks nothing") {
  const NoLeak no_leak;
  const Directory directory;
  const Listener taken = listen("127.0.0.1:0");
  const auto before = open_descriptors();
  listener_refusal(taken.address);
  listener_refusal("unix:" + directory.write("file", ""));
  listener_refusal("unix:/nowhere/x.sock");
  CHECK(open_descriptors() == before);
}

TEST_CASE("a directory that somebody keeps locked is named, and not waited for without end") {
  const Directory directory;
  const Fd holder{::open((directory / "").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  REQUIRE(::flock(holder.get(), LOCK_EX) == 0);
  const std::string error =
      message_of<StartError>([&] { listen_on(parse_address("unix:" + directory / "x.sock", 0), 16); });
  CHECK(error.find("another process keeps ") != std::string::npos);
  CHECK(error.find(" locked") != std::string::npos);
}

}  // namespace baton::test
