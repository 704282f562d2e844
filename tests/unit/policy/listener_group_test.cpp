// Unit tests of one address with all that listens there.
#include "master/policy/listener_group.hpp"

#include <sys/socket.h>

#include <set>

#include "common/error.hpp"
#include "master/policy/policy.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/ports.hpp"

namespace baton::test {
namespace {

constexpr int backlog = 128;

ListenerGroup group(const std::string& text, Policy policy, ListenerAlarm& alarm) {
  return {parse_named_address(text, 0), socket_policy(policy), alarm};
}

bool listens(const ListenerGroup& group, unsigned slot) {
  return group.vault(slot)->listens();
}

bool is_refused(const std::string& address) {
  try {
    const Connection connection(address);
    return false;
  } catch (const std::system_error& error) {
    return error.code().value() == ECONNREFUSED;
  }
}

/// How many connections wait there; they are taken.
std::size_t take_queued(const ListenerGroup& group, unsigned slot) {
  const Fd listener = group.vault(slot)->copy();
  std::size_t count = 0;
  while (Fd{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)}.is_open()) ++count;
  return count;
}

/// Two ports next to each other that are free now, as "3000-3001".
std::string free_range() {
  const int first = free_ports(2);
  return std::to_string(first) + "-" + std::to_string(first + 1);
}

}  // namespace

TEST_CASE("shared: one listener, however many workers") {
  const NoLeak no_leak;
  ListenerAlarm alarm;
  ListenerGroup shared = group("127.0.0.1:0", Policy::shared, alarm);
  shared.provide(8, backlog, false);
  CHECK(shared.vaults().size() == 1);
  CHECK(shared.vault(1) == shared.vault(8));
  CHECK(shared.address() == shared.vault(1)->address());
  CHECK(shared.addresses() == std::vector<std::string>{shared.address()});
  shared.empty();
  CHECK(is_refused(shared.address()));
  shared.prepare(5, backlog, true);
  CHECK(is_refused(shared.address()));
  shared.confirm(5, backlog);
  CHECK_FALSE(is_refused(shared.address()));
}

TEST_CASE("reuseport: as many listeners as workers on one port, of which the first alone listens by itself") {
  const NoLeak no_leak;
  const std::string where = GENERATE(as<std::string>{}, "127.0.0.1:0", "[::1]:0", ":0");
  ListenerAlarm alarm;
  ListenerGroup group_ = group(where, Policy::reuseport, alarm);
  group_.provide(4, backlog, false);
  REQUIRE(group_.vaults().size() == 4);
  std::set<std::uint64_t> cookies;
  for (const auto& [slot, vault] : group_.vaults()) {
    CHECK(vault->address() == group_.address());
    CHECK(listens(group_, slot) == (slot == 1));
    cookies.insert(vault->cookie());
  }
  CHECK(cookies.size() == 4);
  CHECK(group_.addresses().size() == 1);

  for (unsigned slot = 2; slot <= 4; ++slot) group_.confirm(slot, backlog);
  const std::string at =
      where == ":0" ? "127.0.0.1" + group_.address().substr(group_.address().rfind(':')) : group_.address();
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(std::make_unique<Connection>(at));
  std::size_t all = 0;
  for (unsigned slot = 1; slot <= 4; ++slot) all += take_queued(group_, slot);
  CHECK(all == 40);
}

TEST_CASE("reuseport: what is only bound gets no connection, and what is closed gets none any more") {
  ListenerAlarm alarm;
  ListenerGroup group_ = group("127.0.0.1:0", Policy::reuseport, alarm);
  group_.provide(3, backlog, false);
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(std::make_unique<Connection>(group_.address()));
  CHECK(take_queued(group_, 1) == 10);
  group_.confirm(2, backlog);
  group_.close(1, true);
  for (int i = 0; i < 10; ++i) clients.push_back(std::make_unique<Connection>(group_.address()));
  CHECK(take_queued(group_, 2) == 10);
  group_.prepare(1, backlog, false);  // again bound alone, for the second listens
  CHECK_FALSE(listens(group_, 1));
  CHECK(group_.vault(1)->address() == group_.address());
  group_.close(3, false);
  CHECK(group_.vaults().size() == 2);
  CHECK_THROWS_AS(group_.vault(3), std::system_error);
}

TEST_CASE("reuseport: a port where somebody else listens is refused, though that one shares its port, too") {
  const Listener other = listen_on(parse_address("127.0.0.1:0", 0), backlog, Sharing::first);
  ListenerAlarm alarm;
  ListenerGroup group_ = group(other.address, Policy::reuseport, alarm);
  CHECK(contains(message_of<StartError>([&] { group_.provide(2, backlog, false); }), "address already in use"));
  CHECK(group_.vaults().empty());
}

TEST_CASE("reuseport: emptied, clients are refused, until its first listener is opened again") {
  ListenerAlarm alarm;
  ListenerGroup group_ = group("127.0.0.1:0", Policy::reuseport, alarm);
  group_.provide(2, backlog, false);
  group_.confirm(2, backlog);
  const std::string at = group_.address();
  group_.empty();
  CHECK(is_refused(at));
  group_.prepare(1, backlog, true);
  CHECK(is_refused(at));
  group_.reopen(backlog);
  CHECK_FALSE(is_refused(at));
  group_.prepare(2, backlog, false);
  CHECK_FALSE(listens(group_, 2));
}

TEST_CASE("own-port: a port for each, which its slot keeps") {
  const NoLeak no_leak;
  ListenerAlarm alarm;
  ListenerGroup group_ = group("127.0.0.1:0", Policy::own_port, alarm);
  group_.provide(3, backlog, false);
  const std::vector<std::string> before = group_.addresses();
  CHECK(std::set<std::string>(before.begin(), before.end()).size() == 3);
  for (unsigned slot = 1; slot <= 3; ++slot) {
    CHECK(group_.address_of(slot) == before.at(slot - 1));
    const Connection client(group_.address_of(slot));
    CHECK(take_queued(group_, slot) == 1);
  }
  group_.provide(3, backlog, false);
  group_.empty();
  for (unsigned slot = 1; slot <= 3; ++slot) group_.prepare(slot, backlog, false);
  CHECK(group_.addresses() == before);
  group_.close(2, false);
  CHECK(group_.address_of(2).empty());
  CHECK(is_refused(before.at(1)));
  CHECK_FALSE(is_refused(before.at(2)));
}

TEST_CASE("own-port: the ports of a range, in order, and no worker no port") {
  ListenerAlarm alarm;
  const std::string range = free_range();
  ListenerGroup group_ = group("127.0.0.1:" + range, Policy::own_port, alarm);
  group_.provide(0, backlog, false);
  CHECK(group_.vaults().empty());
  CHECK(group_.address() == "127.0.0.1:" + range);
  group_.provide(2, backlog, false);
  const std::string first = range.substr(0, range.find('-'));
  const std::string second = range.substr(range.find('-') + 1);
  CHECK(group_.addresses() == std::vector<std::string>{"127.0.0.1:" + first, "127.0.0.1:" + second});
  CHECK(group_.summary() == "127.0.0.1:" + range);
}

TEST_CASE("own-port: another range takes the ports over that both have") {
  ListenerAlarm alarm;
  const std::string range = free_range();
  const std::string second = range.substr(range.find('-') + 1);
  ListenerGroup old = group("127.0.0.1:" + range, Policy::own_port, alarm);
  old.provide(2, backlog, false);
  ListenerGroup next = group("127.0.0.1:" + second + "-" + second, Policy::own_port, alarm);
  next.adopt(old);
  next.provide(1, backlog, false);  // which would fail, were the port not taken over
  CHECK(next.vault(1) == old.vault(2));
  ListenerGroup renamed = group("api=127.0.0.1:" + range, Policy::own_port, alarm);
  renamed.adopt(old);
  CHECK(renamed.vaults().empty());
  ListenerGroup shared = group("127.0.0.1:" + second, Policy::shared, alarm);
  shared.adopt(old);
  CHECK(shared.vaults().empty());
}

}  // namespace baton::test
