// Interop tests. baton as a service of systemd: sockets from systemd-socket-activate, and what NOTIFY_SOCKET is told.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/clients/endpoint.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// Who would be systemd: every datagram, in order.
class Manager {
 public:
  Manager()
      : path_(directory_ / "notify"), socket_(baton::check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    baton::check(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  }

  [[nodiscard]] const std::string& path() const { return path_; }

  /// The next that is not WATCHDOG=1; those are counted.
  std::string next() {
    const Deadline deadline(std::chrono::seconds(30));
    for (;;) {
      pollfd waiting{socket_.get(), POLLIN, 0};
      REQUIRE_FALSE(deadline.has_passed());
      if (::poll(&waiting, 1, 100) != 1) continue;
      std::array<char, 4096> bytes{};
      const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      REQUIRE(count > 0);
      std::string text(bytes.data(), static_cast<std::size_t>(count));
      if (text != "WATCHDOG=1") return text;
      ++fed_;
    }
  }
  [[nodiscard]] int fed() const { return fed_; }

 private:
  Directory directory_;
  std::string path_;
  baton::Fd socket_;
  int fed_ = 0;
};

/// One that nobody has at this moment.
std::string unused_port() {
  Baton probe({"-w", "0"});
  return probe.address().substr(probe.address().rfind(':') + 1);
}

/// Of a baton that was given descriptor 3 as `redirection` says.
std::string refusal_with(const std::string& redirection, const std::string& arguments = "") {
  const std::string script = fmt::format("exec {}; LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID=$$ exec '{}' {}",
                                         redirection, programs::baton(), arguments);
  Program refused({{"bash", "-c", script}, {}, {}, {}});
  CHECK(refused.wait_for_end() == "code 1");
  return refused.errors();
}

}  // namespace

TEST_CASE("sockets of systemd-socket-activate are served, kept over a reload, and their files stay") {
  if (!is_installed("systemd-socket-activate")) return;
  const Directory directory;
  const std::string address = "127.0.0.1:" + unused_port();
  const std::string path = directory / "web.sock";
  Program baton(
      {{"systemd-socket-activate", "-l", address, "-l", path, "--fdname=api:local", programs::baton(), "-w", "2"},
       {},
       {},
       {}});
  baton.wait_for("Listening on");
  REQUIRE(becomes_true([&] { return std::filesystem::exists(path); }));
  Connection first(address);  // which starts it
  baton.wait_for(fmt::format("listening on {}, unix:{}", address, path));
  CHECK(answering_pids(address, 2).size() == 2);
  CHECK(answering_pids("unix:" + path, 2).size() == 2);
  // Its control socket; the given ones are parked like its own.
  CHECK(common_to(sockets_of(baton.pid()), listening_sockets()).size() == 1);
  Traffic traffic(address, Connections::fresh, 4);
  traffic.wait_for_answers(20);
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: done, 2 workers replaced");
  traffic.wait_for_answers(20);
  check_unharmed(traffic);
  CHECK(answering_pids("unix:" + path, 2).size() == 2);
  baton.signal(SIGTERM);
  CHECK(baton.wait_for_end() == "code 0");
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("a socket from systemd is found by its address or its name, and only what is left is bound") {
  if (!is_installed("systemd-socket-activate")) return;
  const std::string given = "127.0.0.1:" + unused_port();
  const std::string wanted = GENERATE(as<std::string>{}, "address", "name");
  const std::string listen = wanted == "address" ? given : "api=127.0.0.1:1";
  Program baton({{"systemd-socket-activate", "-l", given, "--fdname=api", programs::baton(), "-w", "1", "-l", listen,
                  "-l", "127.0.0.1:0"},
                 {},
                 {},
                 {}});
  baton.wait_for("Listening on");
  Connection first(given);
  const std::string line = baton.wait_for("· listening on ");
  CHECK(line.find(given + ", 127.0.0.1:") != std::string::npos);
  CHECK(answering_pid(given) > 0);
  baton.signal(SIGTERM);
  CHECK(baton.wait_for_end() == "code 0");
}

TEST_CASE("a socket from systemd that no --listen means is named in a warning") {
  if (!is_installed("systemd-socket-activate")) return;
  const std::string given = "127.0.0.1:" + unused_port();
  Program baton(
      {{"systemd-socket-activate", "-l", given, "--fdname=web", programs::baton(), "-w", "1", "-l", "wbe=127.0.0.1:0"},
       {},
       {},
       {}});
  baton.wait_for("Listening on");
  Connection first(given);
  const std::string line = baton.wait_for("is not served");
  CHECK(line.find("the given socket web=" + given) != std::string::npos);
  baton.wait_for("listening on 127.0.0.1:");
  baton.signal(SIGTERM);
  CHECK(baton.wait_for_end() == "code 0");
}

TEST_CASE("what LISTEN_FDS names and is no listener is refused by its number and name") {
  CHECK(refusal_with("3</dev/null").find("LISTEN_FDS: descriptor 3 (web) is no listening stream socket") !=
        std::string::npos);
  CHECK(refusal_with("3<&-").find("LISTEN_FDS: descriptor 3 (web) is not open") != std::string::npos);
  if (!is_installed("systemd-socket-activate")) return;
  const std::string given = "127.0.0.1:" + unused_port();
  Program baton({{"systemd-socket-activate", "-l", given, programs::baton(), "--policy", "reuseport"}, {}, {}, {}});
  baton.wait_for("Listening on");
  Connection first(given);
  CHECK(baton.wait_for_end() == "code 2");
  CHECK(baton.errors().find("a socket from LISTEN_FDS is one, and reuseport wants one for each worker") !=
        std::string::npos);
}

TEST_CASE("LISTEN_FDS of another process is not ours") {
  Baton baton({"-w", "1"}, {{"LISTEN_FDS=1", "LISTEN_PID=1"}, {}, {}});
  CHECK(baton.workers().size() == 1);
}

TEST_CASE("NOTIFY_SOCKET is told of the start, of a reload step by step, of the end, and that time is needed") {
  Manager manager;
  Baton baton({"-w", "2"}, {{"NOTIFY_SOCKET=" + manager.path(), "WATCHDOG_USEC=200000"}, {}, {}});
  CHECK(manager.next() == "READY=1\nSTATUS=2 workers are ready");
  baton.signal(SIGHUP);
  const std::string began = manager.next();
  CHECK(began.starts_with("RELOADING=1\nMONOTONIC_USEC="));
  CHECK(began.ends_with("\nSTATUS=reload: 0 of 2 workers replaced"));
  CHECK(manager.next() == "STATUS=reload: 1 of 2 workers replaced");
  CHECK(manager.next() == "STATUS=reload: 2 of 2 workers replaced");
  CHECK(manager.next() == "READY=1\nSTATUS=reload 1: done, 2 workers replaced");
  Connection slow(baton.address());
  CHECK(slow.send("GET / HTTP/1.1\r\n"));
  REQUIRE(becomes_true([&] { return baton.status().at("totals").at("open").as_int64() == 1; }));
  baton.signal(SIGTERM);
  CHECK(manager.next() == "STOPPING=1\nSTATUS=workers finish what they are answering");
  CHECK(manager.next() == "EXTEND_TIMEOUT_USEC=10000000");
  CHECK(manager.fed() > 20);  // in five seconds, each tenth of one
  slow.send("Host: x\r\n\r\n");
  CHECK(slow.read_response().status == 200);
  CHECK(baton.program().wait_for_end() == "code 0");
}

TEST_CASE("a reload that is refused is over for NOTIFY_SOCKET, too, and workers never see it") {
  Manager manager;
  const Directory directory;
  const std::string file = directory / "baton.toml";
  write_file(file, "workers = 1\n");
  Baton baton({"-c", file, "--dialect", "channel", "--ready", "message", "--", "sh", "-c",
               "echo \"socket $NOTIFY_SOCKET watchdog $WATCHDOG_USEC\" >&2; exec tail -f /dev/null"},
              {{"NOTIFY_SOCKET=" + manager.path()}, {}, {}});
  const std::string line = baton.wait_for("| socket ");
  CHECK(line.find(manager.path()) == std::string::npos);
  CHECK(line.ends_with("watchdog "));
  write_file(file, "workers = none\n");
  baton.signal(SIGHUP);
  baton.wait_for("reload refused");
  CHECK(manager.next().find("STATUS=reload refused") != std::string::npos);
}
