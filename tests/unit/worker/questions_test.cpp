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
#include "tests/support/deadline.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/unit/worker/company.hpp"
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
  Company company;
  AskedCount first;
  AskedCount second;
  first.ask(*company.member);
  const auto sent = company.master.receive().frames;  // before the loop has run
  REQUIRE(sent.size() == 1);
  second.ask(*company.member);
  const auto later = company.heard();
  company.master.send(answer_to(later));
  company.run_until([&] { return second.is_here; });
  CHECK_FALSE(second.error);
  CHECK(second.value.at("id") == later.at("id"));
  CHECK_FALSE(first.is_here);
  company.master.send(answer_to(sent[0].value));
  company.run_until([&] { return first.is_here; });
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
  Company company;
  for (const boost::json::value& value :
       {boost::json::value(infinite), boost::json::value{1, {{"x", -infinite}}}, deep}) {
    CAPTURE(value.is_array());
    error_code asked;
    company.member->async_ask({{"baton", "put"}, {"key", "a"}, {"value", value}},
                              [&](error_code error, const boost::json::object&) { asked = error; });
    company.run_until([&] { return asked.failed(); });
    CHECK(asked == asio::error::invalid_argument);
    CHECK(company.member->send({{"say", value}}) == asio::error::invalid_argument);
    CHECK(company.member->reply({{"id", 1}}, value) == asio::error::invalid_argument);
  }
  CHECK_FALSE(company.has_said_more());
  CHECK_FALSE(company.member->send(deep));
  CHECK(company.heard() == deep);
}

TEST_CASE("a list brings values as deep as they were put") {
  const std::size_t levels = protocol::deepest - 1;
  Company company;
  AskedCount list;
  list.ask(*company.member);
  const auto asked = company.heard();
  company.master.send(R"({"baton":"state","id":)" + boost::json::serialize(asked.at("id")) +
                      R"(,"value":7,"entries":[{"value":)" + std::string(levels, '[') + std::string(levels, ']') +
                      "}]}");
  company.run_until([&] { return list.is_here; });
  CHECK_FALSE(list.error);
  CHECK(list.value.at("entries").as_array().size() == 1);
}

TEST_CASE("answers that come together are given in one turn of the loop, and what they ask goes out together") {
  constexpr std::size_t many = 4;
  Company company;
  std::size_t answers = 0;
  const std::function<void()> ask = [&] {
    company.member->async_ask({{"baton", "get"}, {"key", "count"}}, [&](error_code error, const boost::json::object&) {
      CHECK_FALSE(error);
      ++answers;
      ask();
    });
  };
  for (std::size_t i = 0; i < many; ++i) ask();
  for (std::size_t i = 0; i < many; ++i) static_cast<void>(company.master.add(answer_to(company.heard())));
  company.loop.poll();
  static_cast<void>(company.master.flush());
  company.loop.run_one();
  CHECK(answers == many);
  CHECK(company.master.receive().frames.size() == many);
  CHECK(company.loop.poll() == 0);  // and nothing was left for another turn
}

TEST_CASE("what is asked while a member drains is answered, and the loop runs till then") {
  const NoLeak no_leak;
  const std::string_view when = GENERATE("before", "while it drains", "when it has left");
  CAPTURE(when);
  Company company;
  AskedCount question;
  if (when == "before") question.ask(*company.member);
  company.member->drain();
  if (when == "while it drains") question.ask(*company.member);
  company.loop.restart();
  company.loop.poll();
  CHECK(company.loop.stopped() == (when == "when it has left"));
  if (when == "when it has left") question.ask(*company.member);
  const auto asked = company.heard();
  company.loop.restart();
  company.loop.poll();
  CHECK_FALSE(company.loop.stopped());
  company.master.send(answer_to(asked));
  company.run_to_end();  // comes to its end
  CHECK(question.is_here);
  CHECK_FALSE(question.error);
}

TEST_CASE("a handler that throws leaves the others their answers") {
  const NoLeak no_leak;
  asio::io_context loop;
  const bool on_strand = GENERATE(false, true);
  CAPTURE(on_strand);
  using Executor = Membership::executor_type;
  Post post;
  Membership member(on_strand ? Executor(asio::make_strand(loop)) : Executor(loop.get_executor()));
  Channel master(post.take_master_end());
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
  Company company;
  asio::cancellation_signal cancellation;
  AskedCount cancelled;
  company.member->async_ask({{"baton", "get"}, {"key", "count"}},
                            asio::bind_cancellation_slot(cancellation.slot(), cancelled.handler()));
  AskedCount other;
  other.ask(*company.member);
  const auto first = company.heard();
  const auto second = company.heard();
  cancellation.emit(asio::cancellation_type::total);
  CHECK_FALSE(cancelled.is_here);  // not before it returns
  company.master.send(answer_to(first));
  company.master.send(answer_to(second));
  company.run_until([&] { return other.is_here; });
  CHECK(cancelled.error == asio::error::operation_aborted);
  CHECK_FALSE(other.error);
  CHECK(other.value.at("id") == second.at("id"));
  SECTION("of what is answered there is nothing to cancel") {
    cancellation.emit(asio::cancellation_type::total);
  }
}

TEST_CASE("an answer that is read together with the channel's end is given") {
  Company company;
  AskedCount asked;
  asked.ask(*company.member);
  // Of so many bytes that the reading goes on, and finds the end.
  boost::json::object answer{{"baton", "state"}, {"id", company.heard().at("id")}, {"value", ""}};
  constexpr std::size_t one_read = std::size_t{64} * 1024;
  answer["value"] = std::string(one_read - boost::json::serialize(answer).size() - 1, 'x');
  company.master.send(boost::json::serialize(answer));
  company.master = Channel(std::move(make_channel_pair().first));
  company.run_until([&] { return asked.is_here; });
  CHECK_FALSE(asked.error);
  AskedCount after;
  after.ask(*company.member);
  company.run_until([&] { return after.is_here; });
  CHECK(after.error == asio::error::eof);
}

TEST_CASE("what is asked of a master that goes, or has gone, ends so") {
  const NoLeak no_leak;
  Company company;
  AskedCount before;
  before.ask(*company.member);
  company.master = Channel(std::move(make_channel_pair().first));
  company.run_until([&] { return before.is_here; });
  CHECK(before.error == asio::error::eof);
  AskedCount after;
  after.ask(*company.member);
  CHECK_FALSE(after.is_here);
  company.run_until([&] { return after.is_here; });
  CHECK(after.error == asio::error::eof);
}

}  // namespace baton::test
