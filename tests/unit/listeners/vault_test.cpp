// Unit tests of the vault: a listener that this process keeps, though none of its descriptors is it.
#include "master/listeners/vault.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "common/error.hpp"
#include "common/socket_cookie.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/system/descriptors.hpp"

namespace baton::test {
namespace {

NamedAddress address(const std::string& text) {
  return parse_named_address(text, 0);
}

/// A Unix name of this process's own: other tests run beside it.
std::string own_name() {
  return fmt::format("unix:@baton-vault-test-{}", ::getpid());
}

/// Whether one of this process's descriptors listens.
bool holds_a_listener() {
  for (const std::string& each : open_descriptors()) {
    int listens = 0;
    socklen_t size = sizeof listens;
    const int descriptor = std::stoi(each);
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens == 1) return true;
  }
  return false;
}

int connect_error(const std::string& where) {
  try {
    const Connection connection(where);
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

}  // namespace

TEST_CASE(
    "a parked listener goes on listening, though no descriptor here is it, and can be taken out again and again") {
  const NoLeak no_leak;
  const std::string where = GENERATE(as<std::string>{}, "127.0.0.1:0", "[::1]:0", own_name());
  ListenerAlarm alarm;
  const Vault vault(address(where), 16, alarm);
  CHECK_FALSE(holds_a_listener());
  CHECK_FALSE(vault.is_empty());
  for (int round = 0; round < 3; ++round) {
    const Connection client(vault.address());  // while nobody holds it
    const Fd copy = vault.copy();
    CHECK((::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC) != 0);
    const Fd accepted{::accept4(copy.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    CHECK(accepted.is_open());
  }
}

TEST_CASE("emptied, clients are refused, reserved, still, and listening again, they wait") {
  const NoLeak no_leak;
  const std::string where = GENERATE(as<std::string>{}, "127.0.0.1:0", own_name());
  ListenerAlarm alarm;
  Vault vault(address(where), 16, alarm);
  const std::string bound = vault.address();
  vault.empty();
  CHECK(vault.is_empty());
  CHECK(connect_error(bound) == ECONNREFUSED);
  vault.reserve();
  CHECK(vault.address() == bound);
  CHECK(connect_error(bound) == ECONNREFUSED);
  CHECK(vault.inspect().damage == Vault::Damage::none);  // not to listen is as it should be
  CHECK(vault.listen(16));
  CHECK(connect_error(bound) == 0);
}

TEST_CASE("a socket has one number for all who hold it, and a vault's changes with its socket") {
  ListenerAlarm alarm;
  Vault vault(address("127.0.0.1:0"), 16, alarm);
  const std::uint64_t cookie = vault.cookie();
  CHECK(cookie != 0);
  CHECK(socket_cookie(vault.copy()) == cookie);
  vault.empty();
  CHECK(vault.cookie() == 0);
  vault.reserve();
  CHECK(vault.cookie() != cookie);
}

TEST_CASE("whether a socket listens is asked of the kernel: another holder can have made it") {
  ListenerAlarm alarm;
  const Vault vault(address("127.0.0.1:0"), alarm, Sharing::none);
  CHECK_FALSE(vault.listens());
  CHECK_FALSE(vault.is_listening());
  ::listen(vault.copy().get(), 3);
  CHECK(vault.listens());
  CHECK_FALSE(vault.is_listening());
}

TEST_CASE("the time to wait for a first byte is the socket's, and that of the one that takes its place") {
  const auto deferral = [](const Vault& vault) {
    int seconds = 0;
    socklen_t size = sizeof seconds;
    check(::getsockopt(vault.copy().get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size), "getsockopt");
    return seconds;
  };
  NamedAddress wanted = address("127.0.0.1:0");
  ListenerAlarm alarm;
  CHECK(deferral(Vault(wanted, 16, alarm)) == 0);
  std::get<TcpAddress>(wanted.address).defer_accept = std::chrono::seconds(5);
  Vault vault(wanted, 16, alarm);
  CHECK(deferral(vault) >= 5);
  vault.empty();
  vault.reserve();
  CHECK(deferral(vault) >= 5);
}

TEST_CASE("a port that was taken meanwhile can't be reserved, and that is said") {
  ListenerAlarm alarm;
  Vault vault(address("127.0.0.1:0"), 16, alarm);
  vault.empty();
  const Listener other = listen_on(parse_address(vault.address(), 0), 16);
  CHECK(message_of<StartError>([&] { vault.reserve(); }).find("address already in use") != std::string::npos);
}

TEST_CASE("a listener that another holder shut down is noticed, and mended where it is TCP") {
  ListenerAlarm alarm;
  Vault tcp(address("127.0.0.1:0"), 16, alarm);
  CHECK(tcp.inspect().damage == Vault::Damage::none);
  ::shutdown(tcp.copy().get(), SHUT_RDWR);
  CHECK(tcp.inspect().damage == Vault::Damage::shut_down);
  CHECK(tcp.listen(16));
  CHECK(tcp.inspect().damage == Vault::Damage::none);
  CHECK(connect_error(tcp.address()) == 0);

  Vault local(address(own_name()), 16, alarm);
  ::shutdown(local.copy().get(), SHUT_RDWR);
  CHECK(local.inspect().damage == Vault::Damage::shut_down);
  CHECK_FALSE(local.listen(16));
}

TEST_CASE("a backlog that another holder changed is noticed, with its size, and given back") {
  const std::string where = GENERATE(as<std::string>{}, "127.0.0.1:0", own_name());
  ListenerAlarm alarm;
  Vault vault(address(where), 16, alarm);
  CHECK(vault.inspect().damage == Vault::Damage::none);
  ::listen(vault.copy().get(), 3);
  const Vault::Finding finding = vault.inspect();
  CHECK(finding.damage == Vault::Damage::backlog_changed);
  CHECK(finding.backlog == 3);
  CHECK(vault.listen(16));
  CHECK(vault.inspect().damage == Vault::Damage::none);
}

TEST_CASE("of a Unix listener the kernel names who listened last") {
  ListenerAlarm alarm;
  Vault vault(address(own_name()), 16, alarm);
  const pid_t child = ::fork();
  if (child == 0) {
    ::listen(vault.copy().get(), 3);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  CHECK(vault.inspect().culprit == child);
}

TEST_CASE("a Unix socket's file lives as long as its listener") {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("baton-vault-test-{}.sock", ::getpid());
  {
    ListenerAlarm alarm;
    Vault vault(address("unix:" + path.string() + "?mode=0600"), 16, alarm);
    CHECK(std::filesystem::is_socket(path));
    vault.empty();
    CHECK_FALSE(std::filesystem::exists(path));
    vault.reserve();
    CHECK(vault.listen(16));
    CHECK(connect_error("unix:" + path.string()) == 0);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("the alarm rings when a parked listener is shut down, each time, and not for clients") {
  const NoLeak no_leak;
  ListenerAlarm alarm;
  const auto rings = [&] {
    pollfd state{alarm.fd().get(), POLLIN, 0};
    const bool rung = ::poll(&state, 1, 0) == 1;
    alarm.silence();
    return rung;
  };
  Vault tcp(address("127.0.0.1:0"), 16, alarm);
  Vault local(address(own_name()), 16, alarm);
  {
    const Connection to_tcp(tcp.address());
    const Connection to_local(local.address());
    CHECK_FALSE(rings());
    const Fd accepted{::accept4(tcp.copy().get(), nullptr, nullptr, SOCK_CLOEXEC)};
    CHECK_FALSE(rings());
  }
  for (int round = 0; round < 2; ++round) {
    ::shutdown(tcp.copy().get(), SHUT_RDWR);
    CHECK(rings());
    CHECK_FALSE(rings());
    CHECK(tcp.listen(16));
    CHECK_FALSE(rings());
  }
  ::shutdown(local.copy().get(), SHUT_RDWR);
  CHECK(rings());
  tcp.empty();
  tcp.reserve();
  CHECK(tcp.listen(16));
  CHECK_FALSE(rings());
  ::shutdown(tcp.copy().get(), SHUT_RDWR);
  CHECK(rings());
}

TEST_CASE("a listener's name is what stands before its address") {
  CHECK(address("127.0.0.1:80").name == "server");
  CHECK(address("api=127.0.0.1:80").name == "api");
  CHECK(to_string(address("api=127.0.0.1:80")) == "api=127.0.0.1:80");
  CHECK(address("unix:/run/x.sock?mode=0660").name == "server");
  CHECK(to_string(address("a-1_B=unix:/run/x.sock?mode=0660").address) ==
        to_string(address("unix:/run/x.sock?mode=0660").address));
  for (const char* wrong : {"=127.0.0.1:80", "a b=127.0.0.1:80", "a.b=:80"})
    CHECK(message_of<UsageError>([&] { address(wrong); }).find("no name for a listener") != std::string::npos);
}

}  // namespace baton::test
