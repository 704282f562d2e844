// Unit tests of the library's membership: what a program asks of its master, and the answers.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>
#include <boost/json/serialize.hpp>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "tests/support/catch/deadline.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/worker/membership/membership_fixture.hpp"
#include "worker/membership.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

std::string answer_to(const boost::json::value& question) {
  return boost::json::serialize(boost::json::object{{"baton", "state"}, {"id", question.at("id")}, {"value", 7}});
}

}  // namespace

TEST_CASE("what is asked goes at once, and completes with its own answer") {
  MembershipFixture fixture;
  AskedCount first;
  AskedCount second;
  first.ask(*fixture.member);
  const auto sent = fixture.master.receive().frames;  // before the loop has run
  REQUIRE(sent.size() == 1);
  second.ask(*fixture.member);
  const auto later = fixture.heard();
  fixture.master.send(answer_to(later));
  fixture.run_until([&] { return second.is_here; });
  CHECK_FALSE(second.error);
  CHECK(second.value.at("id") == later.at("id"));
  CHECK_FALSE(first.is_here);
  fixture.master.send(answer_to(sent[0].value));
  fixture.run_until([&] { return first.is_here; });
  CHECK(first.value.at("value") == 7);
}

TEST_CASE("an operation is numbered anew, whatever number it has") {
  CHECK(unnumbered({{"baton", "get"}}) == R"({"baton":"get","id":)");
  CHECK(unnumbered({{"id", 5}, {"baton", "get"}}) == R"({"baton":"get","id":)");
  CHECK(unnumbered({}) == R"({"id":)");
}

TEST_CASE("what JSON can't say, or nobody would read, is not asked, and not said") {
  boost::json::value deep = boost::json::array();
  for (std::size_t i = 1; i < protocol::deepest; ++i) deep = boost::json::array{std::move(deep)};
  const double infinite = std::numeric_limits<double>::infinity();
  MembershipFixture fixture;
  for (const boost::json::value& value :
       {boost::json::value(infinite), boost::json::value{1, {{"x", -infinite}}}, deep}) {
    CAPTURE(value.is_array());
    error_code asked;
    fixture.member->async_ask({{"baton", "put"}, {"key", "a"}, {"value", value}},
                              [&](error_code error, const boost::json::object&) { asked = error; });
    fixture.run_until([&] { return asked.failed(); });
    CHECK(asked == asio::error::invalid_argument);
    CHECK(fixture.member->send({{"say", value}}) == asio::error::invalid_argument);
    CHECK(fixture.member->reply({{"id", 1}}, value) == asio::error::invalid_argument);
  }
  CHECK_FALSE(fixture.has_said_more());
  CHECK_FALSE(fixture.member->send(deep));
  CHECK(fixture.heard() == deep);
}

TEST_CASE("a list brings values as deep as they were put") {
  const std::size_t levels = protocol::deepest - 1;
  MembershipFixture fixture;
  AskedCount list;
  list.ask(*fixture.member);
  const auto asked = fixture.heard();
  fixture.master.send(R"({"baton":"state","id":)" + boost::json::serialize(asked.at("id")) +
                      R"(,"value":7,"entries":[{"value":)" + std::string(levels, '[') + std::string(levels, ']') +
                      "}]}");
  fixture.run_until([&] { return list.is_here; });
  CHECK_FALSE(list.error);
  CHECK(list.value.at("entries").as_array().size() == 1);
}

TEST_CASE("answers that come together are given in one turn of the loop, and what they ask goes out together") {
  constexpr std::size_t many = 4;
  MembershipFixture fixture;
  std::size_t answers = 0;
  const std::function<void()> ask = [&] {
    fixture.member->async_ask({{"baton", "get"}, {"key", "count"}}, [&](error_code error, const boost::json::object&) {
      CHECK_FALSE(error);
      ++answers;
      ask();
    });
  };
  for (std::size_t i = 0; i < many; ++i) ask();
  for (std::size_t i = 0; i < many; ++i) static_cast<void>(fixture.master.add(answer_to(fixture.heard())));
  fixture.loop.poll();
  static_cast<void>(fixture.master.flush());
  fixture.loop.run_one();
  CHECK(answers == many);
  CHECK(fixture.master.receive().frames.size() == many);
  CHECK(fixture.loop.poll() == 0);  // and nothing was left for another turn
}

TEST_CASE("what is asked while a member drains is answered, and the loop runs till then") {
  const NoLeak no_leak;
  const std::string_view when = GENERATE("before", "while it drains", "when it has left");
  CAPTURE(when);
  MembershipFixture fixture;
  AskedCount question;
  if (when == "before") question.ask(*fixture.member);
  fixture.member->drain();
  if (when == "while it drains") question.ask(*fixture.member);
  fixture.loop.restart();
  fixture.loop.poll();
  CHECK(fixture.loop.stopped() == (when == "when it has left"));
  if (when == "when it has left") question.ask(*fixture.member);
  const auto asked = fixture.heard();
  fixture.loop.restart();
  fixture.loop.poll();
  CHECK_FALSE(fixture.loop.stopped());
  fixture.master.send(answer_to(asked));
  fixture.run_to_end();  // comes to its end
  CHECK(question.is_here);
  CHECK_FALSE(question.error);
}

TEST_CASE("a handler that throws leaves the others their answers") {
  const NoLeak no_leak;
  asio::io_context loop;
  const bool on_strand = GENERATE(false, true);
  CAPTURE(on_strand);
  using Executor = Membership::executor_type;
  WorkerEnvironment environment;
  Membership member(on_strand ? Executor(asio::make_strand(loop)) : Executor(loop.get_executor()));
  Channel master(environment.take_master_end());
  const auto throwing = [](error_code, const boost::json::object&) { throw std::runtime_error("of the program's"); };
  member.async_ask({{"baton", "get"}, {"key", "count"}}, throwing);
  AskedCount second;
  second.ask(member);
  loop.poll();
  std::size_t questions = 0;
  for (const Frame& frame : master.receive().frames) {
    if (protocol::decode(frame.value).kind != protocol::Kind::bus) continue;
    ++questions;
    static_cast<void>(master.add(answer_to(frame.value)));
  }
  CHECK(questions == 2);
  static_cast<void>(master.flush());
  CHECK_THROWS_WITH(loop.run_for(patience), "of the program's");
  member.drain();
  loop.restart();
  loop.run_for(patience);
  CHECK(loop.stopped());
  CHECK(second.is_here);
  CHECK_FALSE(second.error);
}

TEST_CASE("what is asked can be cancelled, and the others get their answers") {
  const NoLeak no_leak;
  MembershipFixture fixture;
  asio::cancellation_signal cancellation;
  AskedCount cancelled;
  fixture.member->async_ask({{"baton", "get"}, {"key", "count"}},
                            asio::bind_cancellation_slot(cancellation.slot(), cancelled.handler()));
  AskedCount other;
  other.ask(*fixture.member);
  const auto first = fixture.heard();
  const auto second = fixture.heard();
  cancellation.emit(asio::cancellation_type::total);
  CHECK_FALSE(cancelled.is_here);  // not before it returns
  fixture.master.send(answer_to(first));
  fixture.master.send(answer_to(second));
  fixture.run_until([&] { return other.is_here; });
  CHECK(cancelled.error == asio::error::operation_aborted);
  CHECK_FALSE(other.error);
  CHECK(other.value.at("id") == second.at("id"));
  SECTION("of what is answered there is nothing to cancel") {
    cancellation.emit(asio::cancellation_type::total);
  }
}

TEST_CASE("an answer that is read together with the channel's end is given") {
  MembershipFixture fixture;
  AskedCount asked;
  asked.ask(*fixture.member);
  // Of so many bytes that the reading goes on, and finds the end.
  boost::json::object answer{{"baton", "state"}, {"id", fixture.heard().at("id")}, {"value", ""}};
  constexpr std::size_t one_read = std::size_t{64} * 1024;
  answer["value"] = std::string(one_read - boost::json::serialize(answer).size() - 1, 'x');
  fixture.master.send(boost::json::serialize(answer));
  fixture.master = Channel(std::move(make_channel_pair().first));
  fixture.run_until([&] { return asked.is_here; });
  CHECK_FALSE(asked.error);
  AskedCount after;
  after.ask(*fixture.member);
  fixture.run_until([&] { return after.is_here; });
  CHECK(after.error == asio::error::eof);
}

TEST_CASE("what is asked of a master that goes, or has gone, ends so") {
  const NoLeak no_leak;
  MembershipFixture fixture;
  AskedCount before;
  before.ask(*fixture.member);
  fixture.master = Channel(std::move(make_channel_pair().first));
  fixture.run_until([&] { return before.is_here; });
  CHECK(before.error == asio::error::eof);
  AskedCount after;
  after.ask(*fixture.member);
  CHECK_FALSE(after.is_here);
  fixture.run_until([&] { return after.is_here; });
  CHECK(after.error == asio::error::eof);
}

}  // namespace baton::test
