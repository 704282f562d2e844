// Unit tests of what a member is given by its channel: listeners, connections and a scoreboard.
#include "worker/membership.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/json/serialize.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/sockets.hpp"
#include "tests/unit/worker/membership/membership_fixture.hpp"

namespace baton::test {

TEST_CASE("listeners come by the channel, by their names, acknowledged, in order") {
  const NoLeak no_leak;
  MembershipFixture fixture;
  OperationResult<GivenListener> first;
  OperationResult<GivenListener> second;
  fixture.member->async_listener(first.handler());
  fixture.master.send(protocol::listener_line("api"), listener_at());
  fixture.master.send(protocol::listener_line("admin"), listener_at());
  fixture.expect(protocol::Kind::handle_ack);
  fixture.expect(protocol::Kind::handle_ack);
  fixture.member->async_listener(second.handler());
  fixture.run_until([&] { return second.is_here; });
  CHECK(first.value.name == "api");
  CHECK(second.value.name == "admin");
  CHECK((::fcntl(second.value.socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a listener that is only bound listens when it arrives") {
  MembershipFixture fixture;
  OperationResult<GivenListener> result;
  fixture.member->async_listener(result.handler());
  Fd bound{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  const sockaddr_in any{AF_INET, 0, {}, {}};
  check(::bind(bound.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), "bind");
  fixture.master.send(protocol::listener_line(), std::move(bound));
  fixture.run_until([&] { return result.is_here; });
  int listens = 0;
  socklen_t size = sizeof listens;
  ::getsockopt(result.value.socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
  CHECK(listens == 1);
}

TEST_CASE("a handle that did not come along is asked for again, and one of no use is closed") {
  const NoLeak no_leak;
  std::string fault;
  MembershipFixture fixture({true, [&](std::string_view text) { fault = text; }});
  fixture.master.send(protocol::listener_line());
  fixture.expect(protocol::Kind::handle_nack);
  fixture.master.send(protocol::listener_line(), Fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)});
  fixture.expect(protocol::Kind::handle_ack);
  fixture.run_until([&] { return contains(fault, "is of no use here and is closed"); });
}

TEST_CASE("connections come one by one and in batches, and the master is told of those that close") {
  const NoLeak no_leak;
  MembershipFixture fixture;
  fixture.master.send(protocol::greeting_line(true));
  CHECK(boost::json::serialize(fixture.heard()) == protocol::taken_line(0));
  auto [client, server] = make_channel_pair();
  auto [other_client, other] = make_channel_pair();
  const std::vector<int> both{server.get(), other.get()};
  fixture.master.send_now(protocol::connections_line(2, protocol::quoted("server")), both);
  CHECK(boost::json::serialize(fixture.heard()) == protocol::taken_line(2));
  fixture.master.send(protocol::connection_line("server", false), server.duplicate());
  fixture.expect(protocol::Kind::handle_ack);
  std::vector<Membership::Connection> counted;
  for (int i = 0; i < 3; ++i) {
    OperationResult<Fd> result;
    fixture.member->async_connection(result.handler());
    fixture.run_until([&] { return result.is_here; });
    CHECK(result.value.is_open());
    if (i < 2) counted.push_back(fixture.member->count_connection());
  }
  counted.pop_back();
  CHECK(boost::json::serialize(fixture.heard()) == protocol::closed_line(1));
}

TEST_CASE("what is counted is on the scoreboard, also what was before, and when the program is ready already") {
  MembershipFixture fixture;
  Membership::Connection early = fixture.member->count_connection();
  early.count_request(100);
  fixture.member->ready();
  fixture.expect(protocol::Kind::ready);
  Scoreboard scoreboard(4);
  const std::size_t row = scoreboard.take().value();
  fixture.master.send(protocol::scoreboard_line(row), scoreboard.memory().duplicate());
  fixture.run_until([&] { return scoreboard.row(row).get(Metric::requests) == 1; });
  const CounterRow& counts = scoreboard.row(row);
  CHECK(counts.get(Metric::open) == 1);
  {
    Membership::Connection later = fixture.member->count_connection();
    later.count_error();
    CHECK(counts.get(Metric::open) == 2);
  }
  CHECK(counts.get(Metric::open) == 1);
  CHECK(counts.get(Metric::accepted) == 2);
  CHECK(counts.get(Metric::bytes) == 100);
  CHECK(counts.get(Metric::errors) == 1);
}

TEST_CASE("a second scoreboard, or one that is none, changes nothing") {
  std::string fault;
  MembershipFixture fixture({true, [&](std::string_view text) { fault = text; }});
  fixture.master.send(protocol::scoreboard_line(0), Fd{check(::memfd_create("test", MFD_CLOEXEC), "memfd_create")});
  fixture.run_until([&] { return contains(fault, "is not sealed against shrinking"); });
  fixture.master.send(protocol::scoreboard_line(0), Fd{check(::memfd_create("test", MFD_CLOEXEC), "memfd_create")});
  fixture.run_until([&] { return fault == "a scoreboard message, which is out of place here, is ignored"; });
}

}  // namespace baton::test
