// Unit tests of the library's membership: a program's side of the channel, with the test for its master.
#include "worker/membership.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "master/listeners/listener.hpp"
#include "master/process/notify_socket.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/unit/expect.hpp"
#include "tests/unit/worker/company.hpp"
#include "tests/unit/worker/surroundings.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

Fd listener_at(const std::string& address = "127.0.0.1:0") {
  return std::move(listen_on(parse_address(address, 0), 128).socket);
}

struct Drained {
  bool is_here = false;
  error_code error;
  auto handler() {
    return [this](error_code its_error) {
      is_here = true;
      error = its_error;
    };
  }
};

}  // namespace

TEST_CASE("a member greets its master, and its variables are gone") {
  const auto variable = GENERATE(protocol::channel_variable, protocol::own_channel_variable);
  const Variable node(protocol::channel_variable);
  const Variable own(protocol::own_channel_variable);
  Post post(variable);
  Company company(std::move(post), {});
  CHECK(std::getenv(variable) == nullptr);
  CHECK_FALSE(company.member->is_alone());
  CHECK_FALSE(company.has_said_more());
}

TEST_CASE("a program without a master is alone, and told so") {
  const Variable node(protocol::channel_variable);
  const Variable own(protocol::own_channel_variable);
  const Variable listeners("LISTEN_FDS");
  asio::io_context loop;
  Membership member(loop);
  CHECK(member.is_alone());
  Result<GivenListener> listener;
  Result<Fd> connection;
  Result<boost::json::value> message;
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

TEST_CASE("listeners come by the channel, by their names, acknowledged, in order") {
  const NoLeak no_leak;
  Company company;
  Result<GivenListener> first;
  Result<GivenListener> second;
  company.member->async_listener(first.handler());
  company.master.send(protocol::listener_line("api"), listener_at());
  company.master.send(protocol::listener_line("admin"), listener_at());
  company.expect(protocol::Kind::handle_ack);
  company.expect(protocol::Kind::handle_ack);
  company.member->async_listener(second.handler());
  company.run_until([&] { return second.is_here; });
  CHECK(first.value.name == "api");
  CHECK(second.value.name == "admin");
  CHECK((::fcntl(second.value.socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a listener that is only bound listens when it arrives") {
  Company company;
  Result<GivenListener> result;
  company.member->async_listener(result.handler());
  Fd bound{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  const sockaddr_in any{AF_INET, 0, {}, {}};
  check(::bind(bound.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), "bind");
  company.master.send(protocol::listener_line(), std::move(bound));
  company.run_until([&] { return result.is_here; });
  int listens = 0;
  socklen_t size = sizeof listens;
  ::getsockopt(result.value.socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
  CHECK(listens == 1);
}

TEST_CASE("a handle that did not come along is asked for again, and one of no use is closed") {
  const NoLeak no_leak;
  std::string fault;
  Company company({true, [&](std::string_view text) { fault = text; }});
  company.master.send(protocol::listener_line());
  company.expect(protocol::Kind::handle_nack);
  company.master.send(protocol::listener_line(), Fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)});
  company.expect(protocol::Kind::handle_ack);
  company.run_until([&] { return contains(fault, "is of no use here and is closed"); });
}

TEST_CASE("connections come one by one and in batches, and the master is told of those that close") {
  const NoLeak no_leak;
  Company company;
  company.master.send(protocol::greeting_line(true));
  CHECK(boost::json::serialize(company.heard()) == protocol::taken_line(0));
  auto [client, server] = make_channel_pair();
  auto [other_client, other] = make_channel_pair();
  const std::vector<int> both{server.get(), other.get()};
  company.master.send_now(protocol::connections_line(2, protocol::quoted("server")), both);
  CHECK(boost::json::serialize(company.heard()) == protocol::taken_line(2));
  company.master.send(protocol::connection_line("server", false), server.duplicate());
  company.expect(protocol::Kind::handle_ack);
  std::vector<Membership::Connection> counted;
  for (int i = 0; i < 3; ++i) {
    Result<Fd> result;
    company.member->async_connection(result.handler());
    company.run_until([&] { return result.is_here; });
    CHECK(result.value.is_open());
    if (i < 2) counted.push_back(company.member->count_connection());
  }
  counted.pop_back();
  CHECK(boost::json::serialize(company.heard()) == protocol::closed_line(1));
}

TEST_CASE("ready is said once, to the master and to NOTIFY_SOCKET") {
  NotifySocket notify_socket;
  Post post;
  const Variable notify("NOTIFY_SOCKET", notify_socket.address());
  Company company(std::move(post), {});
  CHECK(std::getenv("NOTIFY_SOCKET") == nullptr);
  company.member->ready();
  company.member->ready();
  company.expect(protocol::Kind::ready);
  CHECK_FALSE(company.has_said_more());
  company.member->status("two\nlines");
  const Notification notification = notify_socket.receive(::getpid());
  CHECK(notification.ready);
  CHECK(notification.status == "two");
}

TEST_CASE("signs of life come four times within WATCHDOG_USEC, by NOTIFY_SOCKET and on the channel") {
  NotifySocket notify_socket;
  Post post;
  const Variable notify("NOTIFY_SOCKET", notify_socket.address());
  const Variable watchdog("WATCHDOG_USEC", "40000");
  Company company(std::move(post), {});
  for (int i = 0; i < 3; ++i) company.expect(protocol::Kind::alive);
  for (int i = 0; i < 3; ++i) company.run_until([&] { return notify_socket.receive(::getpid()).alive; });
  SECTION("of a member with a place on the scoreboard, there") {
    Scoreboard scoreboard(4);
    const std::size_t row = scoreboard.take().value();
    company.master.send(protocol::scoreboard_line(row), scoreboard.memory().duplicate());
    company.run_until([&] { return scoreboard.row(row).get(Metric::last_beat) > 0; });
    const std::uint64_t before = scoreboard.row(row).get(Metric::last_beat);
    company.run_until([&] { return scoreboard.row(row).get(Metric::last_beat) > before; });
  }
}

TEST_CASE("what is counted is on the scoreboard, also what was before, and when the program is ready already") {
  Company company;
  Membership::Connection early = company.member->count_connection();
  early.count_request(100);
  company.member->ready();
  company.expect(protocol::Kind::ready);
  Scoreboard scoreboard(4);
  const std::size_t row = scoreboard.take().value();
  company.master.send(protocol::scoreboard_line(row), scoreboard.memory().duplicate());
  company.run_until([&] { return scoreboard.row(row).get(Metric::requests) == 1; });
  const CounterRow& counts = scoreboard.row(row);
  CHECK(counts.get(Metric::open) == 1);
  {
    Membership::Connection later = company.member->count_connection();
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
  Company company({true, [&](std::string_view text) { fault = text; }});
  company.master.send(protocol::scoreboard_line(0), Fd{check(::memfd_create("test", MFD_CLOEXEC), "memfd_create")});
  company.run_until([&] { return contains(fault, "is not sealed against shrinking"); });
  company.master.send(protocol::scoreboard_line(0), Fd{check(::memfd_create("test", MFD_CLOEXEC), "memfd_create")});
  company.run_until([&] { return fault == "a scoreboard message, which is out of place here, is ignored"; });
}

TEST_CASE("a member is to drain at TERM, INT and QUIT, at its channel's end, and when it says so itself") {
  const int how = GENERATE(SIGTERM, SIGINT, SIGQUIT, 0, -1);
  CAPTURE(how);
  Company company;
  Drained first;
  Drained second;
  Result<GivenListener> listener;
  company.member->async_drain(first.handler());
  company.member->async_listener(listener.handler());
  company.loop.poll();
  CHECK_FALSE(first.is_here);
  if (how > 0) ::raise(how);
  if (how == 0) company.master = Channel(std::move(make_channel_pair().first));
  if (how < 0) company.member->drain();
  company.run_until([&] { return first.is_here; });
  CHECK_FALSE(first.error);
  company.run_until([&] { return listener.is_here; });
  CHECK(listener.error == asio::error::operation_aborted);
  company.member->async_drain(second.handler());
  company.run_to_end();  // comes to its end: nothing is open
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
    Company company({false, {}});
    CHECK(handler() == before);
  }
  {
    Company company;
    CHECK_FALSE(handler() == before);
  }
  CHECK(handler() == SIG_DFL);
}

TEST_CASE("a draining member's loop runs as long as a connection is open, and its master is heard") {
  Company company;
  Result<boost::json::value> message;
  std::optional<Membership::Connection> connection(company.member->count_connection());
  company.member->drain();
  company.member->async_receive(message.handler());
  company.loop.poll();
  CHECK_FALSE(company.loop.stopped());
  company.master.send(R"("still there")");
  company.run_until([&] { return message.is_here; });
  CHECK(message.value == "still there");
  Result<boost::json::value> last;
  company.member->async_receive(last.handler());
  connection.reset();
  company.run_to_end();
  CHECK(last.error == asio::error::operation_aborted);
}

TEST_CASE("messages go both ways") {
  Company company;
  Result<boost::json::value> first;
  company.member->async_receive(first.handler());
  company.master.send(R"({"hello":["world"]})");
  company.run_until([&] { return first.is_here; });
  CHECK(boost::json::serialize(first.value) == R"({"hello":["world"]})");
  CHECK_FALSE(company.member->send({{"answer", 42}}));
  CHECK(boost::json::serialize(company.heard()) == R"({"answer":42})");
  for (const char* reserved : {R"("ready")", R"({"cmd":"NODE_HANDLE_ACK"})", R"({"cmd":"NODE_ANYTHING"})"})
    CHECK(company.member->send(boost::json::parse(reserved)) == asio::error::invalid_argument);
  CHECK_FALSE(company.has_said_more());
  SECTION("until the channel ends, which is no exception") {
    Result<boost::json::value> last;
    company.member->async_receive(last.handler());
    company.master.send(R"("bye")");
    company.master = Channel(std::move(make_channel_pair().first));
    company.run_until([&] { return last.is_here; });
    CHECK(last.value == "bye");
    Result<boost::json::value> end;
    company.member->async_receive(end.handler());
    company.run_until([&] { return end.is_here; });
    CHECK(end.error == asio::error::eof);
    CHECK(company.member->send("more") == asio::error::not_connected);
  }
}

TEST_CASE("a master that does not read is told less, and then goes on where it was") {
  Company company;
  const std::string much(1 << 20, 'x');
  std::size_t sent = 0;
  error_code error;
  while (!(error = company.member->send({{"number", sent}, {"much", much}}))) ++sent;
  CHECK(error == asio::error::no_buffer_space);
  CHECK(sent >= 7);
  for (std::size_t i = 0; i < sent; ++i) CHECK(company.heard().at("number") == i);
}

TEST_CASE("a program that is behind is sent no more, and loses nothing") {
  Company company;
  Result<boost::json::value> first;
  company.member->async_receive(first.handler());
  const std::string filling(20'000, 'x');
  constexpr int many = 300;
  for (int i = 0; i < many; ++i) company.master.send(fmt::format(R"({{"number":{},"filling":"{}"}})", i, filling));
  company.run_until([&] { return first.is_here; });
  for (int i = 0; i < 100; ++i) company.loop.poll();
  CHECK(company.master.flush() == Channel::Sent::queued);  // it waits
  CHECK(first.value.at("number") == 0);
  for (int i = 1; i < many; ++i) {
    Result<boost::json::value> next;
    company.member->async_receive(next.handler());
    company.run_until([&] {
      static_cast<void>(company.master.flush());
      return next.is_here;
    });
    CHECK(next.value.at("number") == i);
  }
}

TEST_CASE("of a program that receives nothing, messages beyond 64 are dropped with one word, and the rest is heard") {
  int faults = 0;
  Company company(
      {true, [&](std::string_view text) { faults += contains(text, "the program receives none") ? 1 : 0; }});
  for (int i = 0; i < 70; ++i) company.master.send(std::to_string(i));
  company.master.send(protocol::listener_line(), listener_at());
  company.expect(protocol::Kind::handle_ack);
  CHECK(faults == 1);
  Result<boost::json::value> first;
  company.member->async_receive(first.handler());
  company.run_until([&] { return first.is_here; });
  CHECK(first.value == 0);
}

TEST_CASE("an operation can be cancelled, and takes nothing along") {
  Company company;
  asio::cancellation_signal cancellation;
  Result<boost::json::value> cancelled;
  company.member->async_receive(asio::bind_cancellation_slot(cancellation.slot(), cancelled.handler()));
  company.loop.poll();
  company.master.send(R"("for whom?")");
  cancellation.emit(asio::cancellation_type::terminal);
  company.run_until([&] { return cancelled.is_here; });
  CHECK(cancelled.error == asio::error::operation_aborted);
  Result<boost::json::value> next;
  company.member->async_receive(next.handler());
  company.run_until([&] { return next.is_here; });
  CHECK(next.value == "for whom?");
}

TEST_CASE("a membership that ends takes its operations along, and leaks nothing") {
  const NoLeak no_leak;
  Company company;
  Drained drain;
  Result<boost::json::value> message;
  Result<GivenListener> listener;
  AskedCount question;
  question.ask(*company.member);
  company.member->async_drain(drain.handler());
  company.member->async_receive(message.handler());
  company.member->async_listener(listener.handler());
  company.loop.poll();
  company.member.reset();
  company.run_to_end();
  CHECK(drain.error == asio::error::operation_aborted);
  CHECK(message.error == asio::error::operation_aborted);
  CHECK(listener.error == asio::error::operation_aborted);
  CHECK(question.error == asio::error::operation_aborted);
}

}  // namespace baton::test
