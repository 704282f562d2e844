// Unit tests of the library's membership: its beginning, its signs of life and its end, with the test for its master.
#include "worker/membership.hpp"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <optional>
#include <string>
#include <utility>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "master/process/notify_socket.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/surroundings.hpp"
#include "tests/unit/worker/membership/membership_fixture.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;

}  // namespace

TEST_CASE("a member greets its master, and its variables are gone") {
  const auto variable = GENERATE(protocol::channel_variable, protocol::own_channel_variable);
  const Variable node(protocol::channel_variable);
  const Variable own(protocol::own_channel_variable);
  WorkerEnvironment environment(variable);
  MembershipFixture fixture(std::move(environment), {});
  CHECK(std::getenv(variable) == nullptr);
  CHECK_FALSE(fixture.member->is_alone());
  CHECK_FALSE(fixture.has_said_more());
}

TEST_CASE("a program without a master is alone, and told so") {
  const Variable node(protocol::channel_variable);
  const Variable own(protocol::own_channel_variable);
  const Variable listeners("LISTEN_FDS");
  asio::io_context loop;
  Membership member(loop);
  CHECK(member.is_alone());
  OperationResult<GivenListener> listener;
  OperationResult<Fd> connection;
  OperationResult<boost::json::value> message;
  AskedCount question;
  question.ask(member);
  member.async_listener(listener.handler());
  member.async_connection(connection.handler());
  member.async_receive(message.handler());
  CHECK_FALSE(listener.is_here);  // never before it returns
  loop.poll();
  CHECK(listener.error == asio::error::not_connected);
  CHECK(connection.error == asio::error::not_connected);
  CHECK(message.error == asio::error::not_connected);
  CHECK(question.error == asio::error::not_connected);
  CHECK(member.send("hello") == asio::error::not_connected);
  member.ready();
  member.drain();
  loop.run();  // comes to its end
}

TEST_CASE("variables that name what is not there are refused") {
  const Variable node(protocol::channel_variable);
  const Variable own(protocol::own_channel_variable);
  const Variable pid("LISTEN_PID", std::to_string(::getpid()));
  const auto refused = [] { return message_of<UsageError>([] { static_cast<void>(take_inheritance()); }); };
  {
    const Variable channel(protocol::own_channel_variable, "99999");
    CHECK(refused() == "BATON_CHANNEL_FD=99999: that descriptor is not an open Unix stream socket");
  }
  {
    const Variable count("LISTEN_FDS", "many");
    CHECK(contains(refused(), "LISTEN_FDS: \"many\""));
  }
  {
    const Variable time("WATCHDOG_USEC", "-1");
    CHECK(contains(refused(), "WATCHDOG_USEC: \"-1\""));
  }
}

TEST_CASE("another process's LISTEN_FDS are not this one's") {
  const Variable node(protocol::channel_variable);
  const Variable own(protocol::own_channel_variable);
  const Variable count("LISTEN_FDS", "1");
  const Variable pid("LISTEN_PID", std::to_string(::getppid()));
  const Inheritance inheritance = take_inheritance();
  CHECK(inheritance.listeners.empty());
  CHECK(std::getenv("LISTEN_FDS") == nullptr);
}

TEST_CASE("ready is said once, to the master and to NOTIFY_SOCKET") {
  NotifySocket notify_socket;
  WorkerEnvironment environment;
  const Variable notify("NOTIFY_SOCKET", notify_socket.address());
  MembershipFixture fixture(std::move(environment), {});
  CHECK(std::getenv("NOTIFY_SOCKET") == nullptr);
  fixture.member->ready();
  fixture.member->ready();
  fixture.expect(protocol::Kind::ready);
  CHECK_FALSE(fixture.has_said_more());
  fixture.member->status("two\nlines");
  const Notification notification = notify_socket.receive(::getpid());
  CHECK(notification.ready);
  CHECK(notification.status == "two");
}

TEST_CASE("signs of life come four times within WATCHDOG_USEC, by NOTIFY_SOCKET and on the channel") {
  NotifySocket notify_socket;
  WorkerEnvironment environment;
  const Variable notify("NOTIFY_SOCKET", notify_socket.address());
  const Variable watchdog("WATCHDOG_USEC", "40000");
  MembershipFixture fixture(std::move(environment), {});
  for (int i = 0; i < 3; ++i) fixture.expect(protocol::Kind::alive);
  for (int i = 0; i < 3; ++i) fixture.run_until([&] { return notify_socket.receive(::getpid()).alive; });
  SECTION("of a member with a place on the scoreboard, there") {
    Scoreboard scoreboard(4);
    const std::size_t row = scoreboard.take().value();
    fixture.master.send(protocol::scoreboard_line(row), scoreboard.memory().duplicate());
    fixture.run_until([&] { return scoreboard.row(row).get(Metric::last_beat) > 0; });
    const std::uint64_t before = scoreboard.row(row).get(Metric::last_beat);
    fixture.run_until([&] { return scoreboard.row(row).get(Metric::last_beat) > before; });
  }
}

TEST_CASE("a member is to drain at TERM, INT and QUIT, at its channel's end, and when it says so itself") {
  const int how = GENERATE(SIGTERM, SIGINT, SIGQUIT, 0, -1);
  CAPTURE(how);
  MembershipFixture fixture;
  DrainResult first;
  DrainResult second;
  OperationResult<GivenListener> listener;
  fixture.member->async_drain(first.handler());
  fixture.member->async_listener(listener.handler());
  fixture.loop.poll();
  CHECK_FALSE(first.is_here);
  if (how > 0) ::raise(how);
  if (how == 0) fixture.master = Channel(std::move(make_channel_pair().first));
  if (how < 0) fixture.member->drain();
  fixture.run_until([&] { return first.is_here; });
  CHECK_FALSE(first.error);
  fixture.run_until([&] { return listener.is_here; });
  CHECK(listener.error == asio::error::operation_aborted);
  fixture.member->async_drain(second.handler());
  fixture.run_to_end();  // comes to its end: nothing is open
  CHECK(second.is_here);
  CHECK_FALSE(second.error);
  if (how > 0) ::raise(how);  // once more, and it is no end
}

TEST_CASE("signals are the program's own where it wants them") {
  const auto handler = [] {
    struct sigaction action {};
    ::sigaction(SIGTERM, nullptr, &action);
    return action.sa_handler;
  };
  const auto before = handler();
  {
    MembershipFixture fixture({false, {}});
    CHECK(handler() == before);
  }
  {
    MembershipFixture fixture;
    CHECK_FALSE(handler() == before);
  }
  CHECK(handler() == SIG_DFL);
}

TEST_CASE("a draining member's loop runs as long as a connection is open, and its master is heard") {
  MembershipFixture fixture;
  OperationResult<boost::json::value> message;
  std::optional<Membership::Connection> connection(fixture.member->count_connection());
  fixture.member->drain();
  fixture.member->async_receive(message.handler());
  fixture.loop.poll();
  CHECK_FALSE(fixture.loop.stopped());
  fixture.master.send(R"("still there")");
  fixture.run_until([&] { return message.is_here; });
  CHECK(message.value == "still there");
  OperationResult<boost::json::value> last;
  fixture.member->async_receive(last.handler());
  connection.reset();
  fixture.run_to_end();
  CHECK(last.error == asio::error::operation_aborted);
}

TEST_CASE("a membership that ends takes its operations along, and leaks nothing") {
  const NoLeak no_leak;
  MembershipFixture fixture;
  DrainResult drain;
  OperationResult<boost::json::value> message;
  OperationResult<GivenListener> listener;
  AskedCount question;
  question.ask(*fixture.member);
  fixture.member->async_drain(drain.handler());
  fixture.member->async_receive(message.handler());
  fixture.member->async_listener(listener.handler());
  fixture.loop.poll();
  fixture.member.reset();
  fixture.run_to_end();
  CHECK(drain.error == asio::error::operation_aborted);
  CHECK(message.error == asio::error::operation_aborted);
  CHECK(listener.error == asio::error::operation_aborted);
  CHECK(question.error == asio::error::operation_aborted);
}

}  // namespace baton::test
