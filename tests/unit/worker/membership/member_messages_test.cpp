// Unit tests of a member's messages: both ways, and where one side does not read.
#include "worker/membership.hpp"

#include <fmt/format.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <string>
#include <utility>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/sockets.hpp"
#include "tests/unit/worker/membership/membership_fixture.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

}  // namespace

TEST_CASE("messages go both ways") {
  MembershipFixture fixture;
  OperationResult<boost::json::value> first;
  fixture.member->async_receive(first.handler());
  fixture.master.send(R"({"hello":["world"]})");
  fixture.run_until([&] { return first.is_here; });
  CHECK(boost::json::serialize(first.value) == R"({"hello":["world"]})");
  CHECK_FALSE(fixture.member->send({{"answer", 42}}));
  CHECK(boost::json::serialize(fixture.heard()) == R"({"answer":42})");
  for (const char* reserved : {R"("ready")", R"({"cmd":"NODE_HANDLE_ACK"})", R"({"cmd":"NODE_ANYTHING"})"})
    CHECK(fixture.member->send(boost::json::parse(reserved)) == asio::error::invalid_argument);
  CHECK_FALSE(fixture.has_said_more());
  SECTION("until the channel ends, which is no exception") {
    OperationResult<boost::json::value> last;
    fixture.member->async_receive(last.handler());
    fixture.master.send(R"("bye")");
    fixture.master = Channel(std::move(make_channel_pair().first));
    fixture.run_until([&] { return last.is_here; });
    CHECK(last.value == "bye");
    OperationResult<boost::json::value> end;
    fixture.member->async_receive(end.handler());
    fixture.run_until([&] { return end.is_here; });
    CHECK(end.error == asio::error::eof);
    CHECK(fixture.member->send("more") == asio::error::not_connected);
  }
}

TEST_CASE("a master that does not read is told less, and then goes on where it was") {
  MembershipFixture fixture;
  const std::string much(1 << 20, 'x');
  std::size_t sent = 0;
  error_code error;
  while (!(error = fixture.member->send({{"number", sent}, {"much", much}}))) ++sent;
  CHECK(error == asio::error::no_buffer_space);
  CHECK(sent >= 7);
  for (std::size_t i = 0; i < sent; ++i) CHECK(fixture.heard().at("number") == i);
}

TEST_CASE("a program that is behind is sent no more, and loses nothing") {
  MembershipFixture fixture;
  OperationResult<boost::json::value> first;
  fixture.member->async_receive(first.handler());
  const std::string filling(20'000, 'x');
  constexpr int many = 300;
  for (int i = 0; i < many; ++i) fixture.master.send(fmt::format(R"({{"number":{},"filling":"{}"}})", i, filling));
  fixture.run_until([&] { return first.is_here; });
  for (int i = 0; i < 100; ++i) fixture.loop.poll();
  CHECK(fixture.master.flush() == Channel::Sent::queued);  // it waits
  CHECK(first.value.at("number") == 0);
  for (int i = 1; i < many; ++i) {
    OperationResult<boost::json::value> next;
    fixture.member->async_receive(next.handler());
    fixture.run_until([&] {
      static_cast<void>(fixture.master.flush());
      return next.is_here;
    });
    CHECK(next.value.at("number") == i);
  }
}

TEST_CASE("of a program that receives nothing, messages beyond 64 are dropped with one word, and the rest is heard") {
  int faults = 0;
  MembershipFixture fixture(
      {true, [&](std::string_view text) { faults += contains(text, "the program receives none") ? 1 : 0; }});
  for (int i = 0; i < 70; ++i) fixture.master.send(std::to_string(i));
  fixture.master.send(protocol::listener_line(), listener_at());
  fixture.expect(protocol::Kind::handle_ack);
  CHECK(faults == 1);
  OperationResult<boost::json::value> first;
  fixture.member->async_receive(first.handler());
  fixture.run_until([&] { return first.is_here; });
  CHECK(first.value == 0);
}

TEST_CASE("an operation can be cancelled, and takes nothing along") {
  MembershipFixture fixture;
  asio::cancellation_signal cancellation;
  OperationResult<boost::json::value> cancelled;
  fixture.member->async_receive(asio::bind_cancellation_slot(cancellation.slot(), cancelled.handler()));
  fixture.loop.poll();
  fixture.master.send(R"("for whom?")");
  cancellation.emit(asio::cancellation_type::terminal);
  fixture.run_until([&] { return cancelled.is_here; });
  CHECK(cancelled.error == asio::error::operation_aborted);
  OperationResult<boost::json::value> next;
  fixture.member->async_receive(next.handler());
  fixture.run_until([&] { return next.is_here; });
  CHECK(next.value == "for whom?");
}

}  // namespace baton::test
