// Unit tests. Messages between workers: whom they reach, what comes back, and what is refused.
#include "master/messages/message_bus.hpp"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "common/error.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr TimePoint start_of_day{1h};
constexpr state::Moment new_year{};

/// Workers 1 to 3, whose processes are 11 to 13.
class FakeTransport final : public MessageBus::Transport {
 public:
  Delivery deliver(int id, std::string_view line) override {
    if (const auto found = broken.find(id); found != broken.end()) return found->second;
    got[id].emplace_back(line);
    return Delivery::done;
  }
  [[nodiscard]] std::optional<int> holder(unsigned number) const override {
    if (number > 3) return std::nullopt;
    return static_cast<int>(number) + 10;
  }
  [[nodiscard]] std::vector<int> holders() const override { return {11, 12, 13}; }
  [[nodiscard]] unsigned number_of(int id) const override { return static_cast<unsigned>(id) - 10; }
  void hear(int id, const json::value& message) override { heard.push_back({id, json::serialize(message)}); }

  std::vector<std::string> take(int id) { return std::exchange(got[id], {}); }

  std::map<int, std::vector<std::string>> got;
  std::map<int, Delivery> broken;
  std::vector<std::pair<int, std::string>> heard;
};

struct MessageBusFixture {
  void say(int id, const std::string& line) { bus.take(id, json::parse(line).get_object(), now, new_year); }

  FakeTransport transport;
  state::Store store;
  MessageBus bus{transport, store};
  TimePoint now = start_of_day;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("addressees have their words and numbers") {
  CHECK(parse_addressee("all")->who == Addressee::Who::all);
  CHECK(parse_addressee("others")->who == Addressee::Who::others);
  CHECK(parse_addressee("master")->who == Addressee::Who::master);
  CHECK(parse_addressee("12")->number == 12);
  CHECK(addressee_in(json::value(3))->number == 3);
  for (const char* each : {"", "0", "-1", "1x", "everybody"}) CHECK_FALSE(parse_addressee(each));
  CHECK_FALSE(addressee_in(json::value(0.5)));
  CHECK_FALSE(addressee_in(json::value(nullptr)));
}

TEST_CASE("a message reaches one, all, all but the sender, or the master, with who sent it") {
  MessageBusFixture fixture;
  fixture.say(11, R"({"baton":"send","to":2,"message":{"a":1}})");
  CHECK(fixture.transport.take(12) == Lines{R"({"baton":"message","from":1,"message":{"a":1}})"});
  fixture.say(12, R"({"baton":"send","to":"others","message":"x"})");
  CHECK(fixture.transport.take(11) == Lines{R"({"baton":"message","from":2,"message":"x"})"});
  CHECK(fixture.transport.take(12).empty());
  CHECK(fixture.transport.take(13).size() == 1);
  fixture.say(12, R"({"baton":"send","to":"all","message":"x"})");
  for (const int id : {11, 12, 13}) CHECK(fixture.transport.take(id).size() == 1);
  fixture.say(13, R"({"baton":"send","to":"master","message":[1]})");
  CHECK(fixture.transport.heard == std::vector<std::pair<int, std::string>>{{13, "[1]"}});
}

TEST_CASE("a request gets the reply of whoever was asked, and nobody else's") {
  MessageBusFixture fixture;
  fixture.say(11, R"({"baton":"send","to":2,"message":"?","id":77})");
  CHECK(fixture.transport.take(12) == Lines{R"({"baton":"message","id":1,"from":1,"message":"?"})"});
  fixture.say(13, R"({"baton":"reply","id":1,"message":"me"})");
  CHECK(fixture.transport.take(13).front().find(R"("code":"late")") != std::string::npos);
  CHECK(fixture.transport.take(11).empty());
  fixture.say(12, R"({"baton":"reply","id":1,"message":"!"})");
  CHECK(fixture.transport.take(11) == Lines{R"({"baton":"reply","id":77,"from":2,"message":"!"})"});
  fixture.say(12, R"({"baton":"reply","id":1,"message":"!"})");
  CHECK(fixture.transport.take(11).empty());
  CHECK_FALSE(fixture.bus.deadline());
}

TEST_CASE("a request ends with its time, or with the end of whoever was asked") {
  MessageBusFixture fixture;
  fixture.say(11, R"({"baton":"send","to":2,"message":"?","id":1,"timeout":100})");
  fixture.say(11, R"({"baton":"send","to":3,"message":"?","id":2})");
  CHECK(fixture.bus.deadline() == start_of_day + 100ms);
  fixture.bus.expire(start_of_day + 99ms);
  CHECK(fixture.transport.take(11).empty());
  fixture.bus.expire(start_of_day + 100ms);
  CHECK(fixture.transport.take(11) ==
        Lines{R"({"baton":"error","id":1,"code":"late","error":"worker 2 did not reply within 100 ms"})"});
  fixture.bus.forget(13);
  CHECK(fixture.transport.take(11) ==
        Lines{R"({"baton":"error","id":2,"code":"gone","error":"worker 3 has ended without a reply"})"});
  CHECK_FALSE(fixture.bus.deadline());
  fixture.say(11, R"({"baton":"send","to":3,"message":"?","id":3})");
  fixture.bus.forget(11);
  CHECK_FALSE(fixture.bus.deadline());
}

TEST_CASE("one who does not read is told apart from one who is gone, and from one who takes no messages") {
  MessageBusFixture fixture;
  using Delivery = MessageBus::Transport::Delivery;
  const auto code = [&](Delivery delivery, const std::string& id) {
    fixture.transport.broken = {{12, delivery}};
    fixture.say(11, R"({"baton":"send","to":2,"message":1)" + id + "}");
    const Lines lines = fixture.transport.take(11);
    REQUIRE(lines.size() == 1);
    return json::serialize(json::parse(lines.front()).at("code"));
  };
  for (const std::string& id : {std::string(), std::string(R"(,"id":5)")}) {
    CHECK(code(Delivery::full, id) == R"("full")");
    CHECK(code(Delivery::gone, id) == R"("gone")");
    CHECK(code(Delivery::deaf, id) == R"("deaf")");
  }
  CHECK_FALSE(fixture.bus.deadline());
  fixture.transport.broken = {{12, Delivery::full}};
  fixture.say(11, R"({"baton":"send","to":"all","message":1})");
  CHECK(fixture.transport.take(13).size() == 1);
  CHECK(fixture.transport.take(11).size() == 2);  // the message, and what became of the other
}

TEST_CASE("what can't be understood is answered with an error that says why") {
  MessageBusFixture fixture;
  const auto error = [&](const std::string& line) {
    fixture.say(11, line);
    const Lines lines = fixture.transport.take(11);
    REQUIRE(lines.size() == 1);
    return std::string(json::parse(lines.front()).at("error").get_string());
  };
  CHECK(error(R"({"baton":"dance","id":1})").starts_with("\"dance\" is nothing that can be asked"));
  CHECK(error(R"({"baton":"send","message":1})").find("\"to\" is the number") == 0);
  CHECK(error(R"({"baton":"send","to":-1,"message":1})").find("\"to\" is the number") == 0);
  CHECK(error(R"({"baton":"send","to":2})") == "there is no \"message\"");
  CHECK(error(R"({"baton":"send","to":9,"message":1})") == "there is no worker 9");
  CHECK(error(R"({"baton":"send","to":"all","message":1,"id":1})") == "a request is for one worker");
  CHECK(error(R"({"baton":"send","to":"master","message":1,"id":1})").starts_with("the master replies to nobody"));
  CHECK(error(R"({"baton":"send","to":2,"message":1,"id":1,"timeout":0})").starts_with("\"timeout\" is a number"));
  CHECK(error(R"({"baton":"reply","message":1})").starts_with("a reply has the \"id\""));
  CHECK(error(R"({"baton":"watch","prefix":1})") == "\"prefix\" is no string");
  CHECK(error(R"({"baton":"get","key":"a"})") == "there is no \"a\"");
  for (const char* id : {R"("seven")", "1.5", "18446744073709551615"})
    CHECK(error(fmt::format(R"({{"baton":"get","key":"a","id":{}}})", id)).starts_with("\"id\" is no whole number"));
  const std::string long_text = "\"" + std::string(MessageBus::longest_message, 'x') + "\"";
  CHECK(error(R"({"baton":"send","to":2,"message":)" + long_text + "}").find("is longer than") != std::string::npos);
  CHECK(fixture.transport.take(12).empty());
}

TEST_CASE("too many open requests are refused, and others go on") {
  MessageBusFixture fixture;
  for (std::size_t i = 0; i < OpenRequests::most_of_one; ++i)
    fixture.say(11, R"({"baton":"send","to":2,"message":1,"id":1})");
  CHECK(fixture.transport.take(11).empty());
  fixture.say(11, R"({"baton":"send","to":2,"message":1,"id":2})");
  CHECK(fixture.transport.take(11).front().find("too_many") != std::string::npos);
  fixture.say(13, R"({"baton":"send","to":2,"message":1,"id":2})");
  CHECK(fixture.transport.take(13).empty());
}

TEST_CASE("a watch sees every change of its prefix, and one that does not read loses its watches, and is told") {
  MessageBusFixture fixture;
  fixture.store.on_change([&](const state::Change& change) { fixture.bus.tell(change); });
  fixture.say(11, R"({"baton":"watch","prefix":"a/","id":1})");
  CHECK(fixture.transport.take(11) == Lines{R"({"baton":"state","id":1,"prefix":"a/","watched":true})"});
  fixture.say(12, R"({"baton":"put","key":"a/x","value":1})");
  fixture.say(12, R"({"baton":"put","key":"b","value":1})");
  fixture.say(12, R"({"baton":"delete","key":"a/x"})");
  CHECK(fixture.transport.take(11) == Lines{R"({"baton":"changed","key":"a/x","value":1,"version":1})",
                                            R"({"baton":"changed","key":"a/x","deleted":true,"version":3})"});
  fixture.transport.broken = {{11, MessageBus::Transport::Delivery::full}};
  fixture.say(12, R"({"baton":"put","key":"a/x","value":2})");
  fixture.transport.broken.clear();
  fixture.say(12, R"({"baton":"put","key":"a/x","value":3})");
  CHECK(fixture.transport.take(11).empty());
  fixture.bus.make_up(11);
  CHECK(fixture.transport.take(11).front().find("your watches have ended") != std::string::npos);
  fixture.bus.make_up(11);
  CHECK(fixture.transport.take(11).empty());
  fixture.say(11, R"({"baton":"watch"})");
  fixture.say(11, R"({"baton":"unwatch"})");
  fixture.transport.take(11);
  fixture.say(12, R"({"baton":"put","key":"c","value":3})");
  CHECK(fixture.transport.take(11).empty());
}

TEST_CASE("from outside a message goes to one or all, and one can be asked for a reply") {
  MessageBusFixture fixture;
  std::vector<Outcome> outcomes;
  const Done done = [&](const Outcome& outcome) { outcomes.push_back(outcome); };
  const Addressee all{Addressee::Who::all};
  const Addressee second{Addressee::Who::worker, 2};
  fixture.bus.send(all, "x", std::nullopt, fixture.now, done);
  CHECK(outcomes.back().message == "3 workers got it");
  CHECK(fixture.transport.take(13) == Lines{R"({"baton":"message","from":"master","message":"x"})"});
  fixture.bus.send(second, "x", 1s, fixture.now, done);
  CHECK(outcomes.size() == 1);
  fixture.say(12, R"({"baton":"reply","id":1,"message":{"y":1}})");
  CHECK(outcomes.back().reply == R"({"y":1})");
  fixture.bus.send(second, "x", 1s, fixture.now, done);
  fixture.bus.expire(fixture.now + 1s);
  CHECK_FALSE(outcomes.back().ok);
  CHECK(outcomes.back().message == "worker 2 did not reply within 1000 ms");
  CHECK(outcomes.back().code == "late");
  fixture.transport.broken = {{12, MessageBus::Transport::Delivery::full}};
  fixture.bus.send(all, "x", std::nullopt, fixture.now, done);
  CHECK(outcomes.back().message == "worker 2 does not read its channel: 8 MiB wait for it; 2 workers got it");
  CHECK_FALSE(outcomes.back().ok);
  CHECK(outcomes.back().code == "full");
  fixture.bus.send(second, "x", 1s, fixture.now, done);
  CHECK(outcomes.back().code == "full");
  fixture.transport.broken.clear();
  fixture.bus.send(second, "x", 1s, fixture.now, done);
  fixture.bus.forget(12);
  CHECK(outcomes.back().message == "worker 2 has ended without a reply");
  CHECK(outcomes.back().code == "gone");
  fixture.bus.send({Addressee::Who::worker, 9}, "x", std::nullopt, fixture.now, done);
  CHECK(outcomes.back().message == "there is no worker 9");
  CHECK(outcomes.back().code == "gone");
  fixture.bus.send(all, boost::json::string(MessageBus::longest_message, 'x'), std::nullopt, fixture.now, done);
  CHECK(outcomes.back().code == "too_large");
  CHECK_THROWS_AS(fixture.bus.send(all, "x", 1s, fixture.now, done), UsageError);
  CHECK_THROWS_AS(fixture.bus.send({Addressee::Who::master}, "x", std::nullopt, fixture.now, done), UsageError);
}

}  // namespace baton::test
