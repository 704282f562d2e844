// Unit tests of a recipient: what it is sent when, and what its answers do. Its channel is a list of what was sent.
#include "master/policy/recipient.hpp"

#include <boost/json/parse.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "master/listener_alarm.hpp"
#include "master/vault.hpp"
#include "tests/support/descriptors.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;
using protocol::Kind;

struct Sent {
  std::string line;
  std::size_t descriptors = 0;
};

class Desk {
 public:
  explicit Desk(const Recipient::Terms& terms)
      : recipient({&vault_}, terms, [this](std::string_view line, std::span<const int> descriptors) {
          if (outcome != Channel::Sent::whole) return outcome;
          sent.push_back({std::string(line), descriptors.size()});
          return outcome;
        }) {}

  void assign(int count, const std::shared_ptr<const Origin>& from) {
    for (int i = 0; i < count; ++i) recipient.assign({Fd{check(::dup(STDERR_FILENO), "dup")}, ClientAddress{}, from});
  }
  void assign(int count) { assign(count, origin); }
  std::size_t send() { return recipient.send().size(); }
  Recipient::Verdict hear(Kind kind, std::optional<std::size_t> count = std::nullopt) {
    return recipient.hear({.kind = kind, .detail = {}, .value = nullptr, .number = count}, now);
  }
  Recipient::Verdict accept(std::uint64_t message, bool is_accepted = true) {
    return recipient.hear(
        {.kind = Kind::accepted, .detail = {}, .value = nullptr, .number = message, .is_accepted = is_accepted}, now);
  }
  void serve(std::string key) { recipient.serve(vault_, std::move(key)); }
  std::size_t forgo() { return recipient.forgo(vault_).size(); }
  std::vector<Sent> take_sent() { return std::exchange(sent, {}); }

 private:
  ListenerAlarm alarm_;
  Vault vault_{{"server", TcpAddress{boost::asio::ip::make_address("127.0.0.1"), 0}}, 16, alarm_};

 public:
  std::shared_ptr<Origin> origin = std::make_shared<Origin>(vault_, "server", false);
  std::shared_ptr<Origin> other_name = std::make_shared<Origin>(vault_, "api", false);
  std::vector<Sent> sent;
  Channel::Sent outcome = Channel::Sent::whole;
  TimePoint now{};
  Recipient recipient;
};

constexpr Recipient::Terms many{.takes_many = true, .is_counted = false, .room = 8};
constexpr Recipient::Terms counted_many{.takes_many = true, .is_counted = true, .room = 8};
constexpr Recipient::Terms node{.takes_many = false, .is_counted = false, .room = 4};
constexpr Recipient::Terms cluster{.takes_many = false, .is_counted = false, .room = 8, .is_cluster = true};
constexpr Recipient::Terms counted_cluster{.takes_many = false, .is_counted = true, .room = 8, .is_cluster = true};
constexpr Recipient::Terms counted_node{.takes_many = false, .is_counted = true, .room = 4};

}  // namespace

TEST_CASE("recipient: many go in one message, and are held until they are acknowledged") {
  const NoLeak no_leak;
  Desk desk(many);
  desk.assign(5);
  CHECK(desk.send() == 0);
  REQUIRE(desk.sent.size() == 1);
  CHECK(desk.sent[0].line == R"({"cmd":"NODE_BATON_CONNECTIONS","count":5,"msg":"server"})");
  CHECK(desk.sent[0].descriptors == 5);
  const auto before = open_descriptors().size();
  CHECK(desk.hear(Kind::taken, 5).is_expected);
  CHECK(open_descriptors().size() == before - 5);
  CHECK(desk.recipient.outstanding() == 0);
}

TEST_CASE("recipient: the connections of one message are of one listener") {
  Desk desk(many);
  desk.assign(2);
  desk.assign(1, desk.other_name);
  desk.assign(1);
  CHECK(desk.send() == 0);
  REQUIRE(desk.sent.size() == 3);
  CHECK(desk.sent[0].descriptors == 2);
  CHECK(desk.sent[1].line == R"({"cmd":"NODE_BATON_CONNECTIONS","count":1,"msg":"api"})");
  CHECK(desk.sent[2].descriptors == 1);
}

TEST_CASE("recipient: at most 253 in a message") {
  Desk desk({.takes_many = true, .is_counted = false, .room = 1000});
  desk.assign(300);
  CHECK(desk.send() == 0);
  REQUIRE(desk.sent.size() == 2);
  CHECK(desk.sent[0].descriptors == 253);
  CHECK(desk.sent[1].descriptors == 47);
}

TEST_CASE("recipient: it has room until as much is outstanding as its terms say") {
  Desk desk(many);
  desk.assign(7);
  CHECK(desk.recipient.has_room());
  desk.assign(1);
  CHECK_FALSE(desk.recipient.has_room());
  CHECK(desk.send() == 0);
  CHECK_FALSE(desk.recipient.has_room());
  CHECK(desk.hear(Kind::taken, 8).is_expected);
  CHECK(desk.recipient.has_room());
}

TEST_CASE("recipient: answers are for the messages in their order") {
  Desk desk(many);
  for (const int count : {3, 2}) {
    desk.assign(count);
    CHECK(desk.send() == 0);
  }
  const Recipient::Verdict first = desk.hear(Kind::taken, 1);
  CHECK(first.is_expected);
  CHECK(first.refused.size() == 2);
  CHECK(desk.recipient.outstanding() == 2);
  CHECK(desk.hear(Kind::taken, 2).refused.empty());
  CHECK(desk.recipient.outstanding() == 0);
}

TEST_CASE("recipient: one that could not take all is given nothing for a moment") {
  Desk desk(many);
  desk.assign(2);
  CHECK(desk.send() == 0);
  CHECK(desk.hear(Kind::taken, 0).refused.size() == 2);
  CHECK_FALSE(desk.recipient.has_room());
  const TimePoint wake = desk.recipient.next_wake();
  CHECK(wake == desk.now + 100ms);
  desk.recipient.on_time(wake - 1ms);
  CHECK_FALSE(desk.recipient.has_room());
  desk.recipient.on_time(wake);
  CHECK(desk.recipient.has_room());
  CHECK(desk.recipient.next_wake() == TimePoint::max());
}

TEST_CASE("recipient: answers that nobody asked for, or of the other kind, mean nothing") {
  Desk desk(many);
  for (const Kind each : {Kind::taken, Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(desk.hear(each, 1).is_expected);
  desk.assign(2);
  CHECK(desk.send() == 0);
  for (const Kind each : {Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(desk.hear(each, 1).is_expected);
  CHECK_FALSE(desk.hear(Kind::taken).is_expected);
  CHECK(desk.recipient.outstanding() == 2);
  CHECK_FALSE(desk.hear(Kind::taken, 3).is_expected);  // more than there were: it has them all, at least
  CHECK(desk.recipient.outstanding() == 0);
}

TEST_CASE("recipient: what its channel has no room for comes back, and it is passed over until there is some") {
  Desk desk(many);
  desk.assign(2);
  CHECK(desk.send() == 0);
  desk.outcome = GENERATE(Channel::Sent::full, Channel::Sent::closed);
  desk.assign(3);
  CHECK(desk.send() == 3);
  CHECK(desk.recipient.outstanding() == 2);
  CHECK_FALSE(desk.recipient.has_room());
  CHECK_FALSE(desk.recipient.is_serving());
  desk.recipient.unblock();
  CHECK(desk.recipient.has_room());
}

TEST_CASE("recipient: one taken for Node gets one, and the next when it has acknowledged that") {
  Desk desk(node);
  desk.assign(3);
  CHECK(desk.send() == 0);
  CHECK(desk.take_sent().size() == 1);
  CHECK(desk.send() == 0);
  CHECK(desk.sent.empty());
  CHECK(desk.hear(Kind::handle_ack).is_expected);
  CHECK(desk.send() == 0);
  REQUIRE(desk.sent.size() == 1);
  CHECK(desk.sent[0].line == R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"server"})");
  CHECK(desk.sent[0].descriptors == 1);
  SECTION("a refusal gives back that one and what waits behind it") {
    CHECK(desk.hear(Kind::handle_nack).refused.size() == 2);
    CHECK(desk.recipient.outstanding() == 0);
    CHECK_FALSE(desk.recipient.has_room());
  }
  SECTION("what waits can be had back, what is on its way can't") {
    CHECK(desk.recipient.take_unsent().size() == 1);
    CHECK(desk.recipient.outstanding() == 1);
  }
}

TEST_CASE("recipient: when it is lost, all that it did not acknowledge is to be had, in order") {
  const NoLeak no_leak;
  Desk desk(node);
  desk.assign(1);
  desk.assign(1, desk.other_name);
  desk.assign(1);
  CHECK(desk.send() == 0);
  const std::vector<Connection> left = desk.recipient.take_all();
  REQUIRE(left.size() == 3);
  CHECK(left[0].origin == desk.origin);
  CHECK(left[1].origin == desk.other_name);
  CHECK(desk.recipient.outstanding() == 0);
}

TEST_CASE("recipient: one of many is counted by what it takes and tells of as closed") {
  Desk desk(counted_many);
  desk.assign(5);
  CHECK(desk.recipient.held() == 5);
  CHECK(desk.send() == 0);
  CHECK(desk.hear(Kind::taken, 5).is_expected);
  CHECK(desk.recipient.held() == 5);
  CHECK(desk.hear(Kind::closed, 2).is_expected);
  CHECK(desk.recipient.held() == 3);
  CHECK_FALSE(desk.hear(Kind::closed, 4).is_expected);
  CHECK(desk.recipient.held() == 3);
}

TEST_CASE("recipient: where nobody counts, closes are out of place") {
  Desk desk(many);
  desk.assign(1);
  CHECK(desk.send() == 0);
  CHECK(desk.hear(Kind::taken, 1).is_expected);
  CHECK(desk.recipient.held() == 0);
  CHECK_FALSE(desk.hear(Kind::closed, 1).is_expected);
}

TEST_CASE("recipient: Node is asked to tell when it has none, and how many now and then") {
  Desk desk(counted_node);
  desk.assign(1);
  CHECK(desk.send() == 0);
  static_cast<void>(desk.take_sent());
  CHECK(desk.hear(Kind::handle_ack).is_expected);
  REQUIRE(desk.sent.size() == 1);
  CHECK(desk.take_sent()[0].line == protocol::ask_all_closed_line());
  CHECK(desk.recipient.held() == 1);
  SECTION("it tells") {
    CHECK(desk.hear(Kind::all_closed).is_expected);
    CHECK(desk.recipient.held() == 0);
    CHECK_FALSE(desk.hear(Kind::all_closed).is_expected);
    // Not asked about nothing, nor ever again without a new connection.
    desk.recipient.on_time(desk.recipient.next_wake());
    CHECK(desk.sent.empty());
    CHECK(desk.recipient.next_wake() == TimePoint::max());
  }
  SECTION("it is asked, ever more seldom") {
    std::vector<Milliseconds> pauses;
    for (int i = 0; i < 9; ++i) {
      const TimePoint wake = desk.recipient.next_wake();
      pauses.push_back(std::chrono::duration_cast<Milliseconds>(wake - desk.now));
      desk.now = wake;
      desk.recipient.on_time(desk.now);
      REQUIRE(desk.take_sent().size() == 1);
      CHECK(desk.hear(Kind::open, 1).is_expected);
      CHECK(desk.recipient.held() == 1);
    }
    CHECK(pauses == std::vector<Milliseconds>{10ms, 10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1000ms});
    CHECK_FALSE(desk.hear(Kind::open, 0).is_expected);
  }
  SECTION("one that does not answer is asked once") {
    for (int i = 0; i < 5; ++i) desk.recipient.on_time(desk.recipient.next_wake());
    CHECK(desk.sent.size() == 1);
  }
}

TEST_CASE("recipient: what is done at a leave waits for its acknowledgements, and not for ever") {
  Desk desk(many);
  int done = 0;
  desk.assign(1);
  CHECK(desk.send() == 0);
  desk.recipient.leave([&] { ++done; }, desk.now + 1s);
  CHECK_FALSE(desk.recipient.has_room());
  CHECK_FALSE(desk.recipient.take_farewell(desk.now));
  SECTION("acknowledged") {
    CHECK(desk.hear(Kind::taken, 1).is_expected);
    desk.recipient.take_farewell(desk.now)();
  }
  SECTION("too late") {
    CHECK(desk.recipient.next_wake() == desk.now + 1s);
    desk.recipient.take_farewell(desk.now + 1s)();
  }
  CHECK(done == 1);
  CHECK_FALSE(desk.recipient.take_farewell(desk.now + 1s));
  CHECK(desk.recipient.next_wake() == TimePoint::max());
}

TEST_CASE("recipient: one of Node's cluster serves what it has asked for, and is sent one a message") {
  const NoLeak no_leak;
  Desk desk(cluster);
  CHECK_FALSE(desk.recipient.serves(*desk.origin));
  desk.serve("7");
  CHECK(desk.recipient.serves(*desk.origin));
  desk.assign(2);
  CHECK(desk.send() == 0);
  REQUIRE(desk.sent.size() == 2);
  CHECK(desk.sent[1].line == R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":)"
                             R"({"cmd":"NODE_CLUSTER","act":"newconn","key":"7","seq":2}})");
  CHECK(desk.sent[1].descriptors == 1);
  CHECK(desk.hear(Kind::handle_ack).is_expected);
  CHECK(desk.recipient.outstanding() == 2);  // received is not accepted
  CHECK(desk.accept(1).is_expected);
  CHECK(desk.recipient.outstanding() == 1);
}

TEST_CASE("recipient: what Node's cluster turns away, or could not receive, is to be had again") {
  const NoLeak no_leak;
  Desk desk(cluster);
  desk.serve("7");
  desk.assign(3);
  CHECK(desk.send() == 0);
  SECTION("turned away") {
    for (int i = 0; i < 3; ++i) CHECK(desk.hear(Kind::handle_ack).is_expected);
    const Recipient::Verdict verdict = desk.accept(2, false);
    CHECK(verdict.is_by_choice);
    CHECK(verdict.refused.size() == 1);
    CHECK(desk.accept(3).is_expected);
    CHECK(desk.accept(1).is_expected);
    CHECK(desk.recipient.outstanding() == 0);
  }
  SECTION("not received: the first that was not confirmed") {
    CHECK(desk.hear(Kind::handle_ack).is_expected);
    CHECK(desk.hear(Kind::handle_nack).refused.size() == 1);
    CHECK_FALSE(desk.accept(2).is_expected);
    CHECK(desk.accept(1).is_expected);
    CHECK(desk.accept(3).is_expected);
  }
  CHECK_FALSE(desk.recipient.is_serving());
}

TEST_CASE("recipient: answers of Node's cluster that nobody asked for mean nothing") {
  Desk desk(cluster);
  desk.serve("7");
  for (const Kind each : {Kind::taken, Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(desk.hear(each, 1).is_expected);
  CHECK_FALSE(desk.accept(1).is_expected);
  desk.assign(1);
  CHECK(desk.send() == 0);
  CHECK_FALSE(desk.accept(2).is_expected);
  CHECK(desk.accept(1).is_expected);
  CHECK_FALSE(desk.accept(1).is_expected);
}

TEST_CASE("recipient: a listener that Node's cluster has closed: what waits for it goes to others") {
  const NoLeak no_leak;
  Desk desk(cluster);
  desk.serve("7");
  desk.assign(1);
  CHECK(desk.send() == 0);
  desk.assign(2);
  CHECK(desk.forgo() == 2);
  CHECK_FALSE(desk.recipient.serves(*desk.origin));
  CHECK(desk.accept(1, false).refused.size() == 1);
}

TEST_CASE("recipient: what Node's cluster has open is measured, at most every 10 ms") {
  Desk desk(counted_cluster);
  std::size_t files = 20;
  desk.recipient.measure_by([&] { return files; });
  desk.serve("7");
  desk.now = TimePoint{} + 1s;
  desk.recipient.measure(desk.now);
  CHECK(desk.recipient.held() == 0);
  desk.assign(2);
  CHECK(desk.send() == 0);
  CHECK(desk.accept(1).is_expected);
  CHECK(desk.accept(2).is_expected);
  CHECK(desk.recipient.held() == 2);
  files = 21;
  desk.recipient.measure(desk.now + 9ms);
  CHECK(desk.recipient.held() == 2);
  desk.recipient.measure(desk.now + 10ms);
  CHECK(desk.recipient.held() == 1);
  files = 3;
  desk.recipient.measure(desk.now + 1s);
  CHECK(desk.recipient.held() == 0);
}

}  // namespace baton::test
