// Unit tests of a recipient: what it is sent when, and what its answers do. Its channel is a list of what was sent.
#include "master/dispatch/recipient.hpp"

#include <boost/json/parse.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "master/listeners/listener_alarm.hpp"
#include "master/listeners/vault.hpp"
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
  Desk listeners(many);
  listeners.assign(5);
  CHECK(listeners.send() == 0);
  REQUIRE(listeners.sent.size() == 1);
  CHECK(listeners.sent[0].line == R"({"cmd":"NODE_BATON_CONNECTIONS","count":5,"msg":"server"})");
  CHECK(listeners.sent[0].descriptors == 5);
  const auto before = open_descriptors().size();
  CHECK(listeners.hear(Kind::taken, 5).is_expected);
  CHECK(open_descriptors().size() == before - 5);
  CHECK(listeners.recipient.outstanding() == 0);
}

TEST_CASE("recipient: the connections of one message are of one listener") {
  Desk listeners(many);
  listeners.assign(2);
  listeners.assign(1, listeners.other_name);
  listeners.assign(1);
  CHECK(listeners.send() == 0);
  REQUIRE(listeners.sent.size() == 3);
  CHECK(listeners.sent[0].descriptors == 2);
  CHECK(listeners.sent[1].line == R"({"cmd":"NODE_BATON_CONNECTIONS","count":1,"msg":"api"})");
  CHECK(listeners.sent[2].descriptors == 1);
}

TEST_CASE("recipient: at most 253 in a message") {
  Desk listeners({.takes_many = true, .is_counted = false, .room = 1000});
  listeners.assign(300);
  CHECK(listeners.send() == 0);
  REQUIRE(listeners.sent.size() == 2);
  CHECK(listeners.sent[0].descriptors == 253);
  CHECK(listeners.sent[1].descriptors == 47);
}

TEST_CASE("recipient: it has room until as much is outstanding as its terms say") {
  Desk listeners(many);
  listeners.assign(7);
  CHECK(listeners.recipient.has_room());
  listeners.assign(1);
  CHECK_FALSE(listeners.recipient.has_room());
  CHECK(listeners.send() == 0);
  CHECK_FALSE(listeners.recipient.has_room());
  CHECK(listeners.hear(Kind::taken, 8).is_expected);
  CHECK(listeners.recipient.has_room());
}

TEST_CASE("recipient: answers are for the messages in their order") {
  Desk listeners(many);
  for (const int count : {3, 2}) {
    listeners.assign(count);
    CHECK(listeners.send() == 0);
  }
  const Recipient::Verdict first = listeners.hear(Kind::taken, 1);
  CHECK(first.is_expected);
  CHECK(first.refused.size() == 2);
  CHECK(listeners.recipient.outstanding() == 2);
  CHECK(listeners.hear(Kind::taken, 2).refused.empty());
  CHECK(listeners.recipient.outstanding() == 0);
}

TEST_CASE("recipient: one that could not take all is given nothing for a moment") {
  Desk listeners(many);
  listeners.assign(2);
  CHECK(listeners.send() == 0);
  CHECK(listeners.hear(Kind::taken, 0).refused.size() == 2);
  CHECK_FALSE(listeners.recipient.has_room());
  const TimePoint wake = listeners.recipient.next_wake();
  CHECK(wake == listeners.now + 100ms);
  listeners.recipient.on_time(wake - 1ms);
  CHECK_FALSE(listeners.recipient.has_room());
  listeners.recipient.on_time(wake);
  CHECK(listeners.recipient.has_room());
  CHECK(listeners.recipient.next_wake() == TimePoint::max());
}

TEST_CASE("recipient: answers that nobody asked for, or of the other kind, mean nothing") {
  Desk listeners(many);
  for (const Kind each : {Kind::taken, Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(listeners.hear(each, 1).is_expected);
  listeners.assign(2);
  CHECK(listeners.send() == 0);
  for (const Kind each : {Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(listeners.hear(each, 1).is_expected);
  CHECK_FALSE(listeners.hear(Kind::taken).is_expected);
  CHECK(listeners.recipient.outstanding() == 2);
  CHECK_FALSE(listeners.hear(Kind::taken, 3).is_expected);  // more than there were: it has them all, at least
  CHECK(listeners.recipient.outstanding() == 0);
}

TEST_CASE("recipient: what its channel has no room for comes back, and it is passed over until there is some") {
  Desk listeners(many);
  listeners.assign(2);
  CHECK(listeners.send() == 0);
  listeners.outcome = GENERATE(Channel::Sent::full, Channel::Sent::closed);
  listeners.assign(3);
  CHECK(listeners.send() == 3);
  CHECK(listeners.recipient.outstanding() == 2);
  CHECK_FALSE(listeners.recipient.has_room());
  CHECK_FALSE(listeners.recipient.is_serving());
  listeners.recipient.unblock();
  CHECK(listeners.recipient.has_room());
}

TEST_CASE("recipient: one taken for Node gets one, and the next when it has acknowledged that") {
  Desk listeners(node);
  listeners.assign(3);
  CHECK(listeners.send() == 0);
  CHECK(listeners.take_sent().size() == 1);
  CHECK(listeners.send() == 0);
  CHECK(listeners.sent.empty());
  CHECK(listeners.hear(Kind::handle_ack).is_expected);
  CHECK(listeners.send() == 0);
  REQUIRE(listeners.sent.size() == 1);
  CHECK(listeners.sent[0].line == R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"server"})");
  CHECK(listeners.sent[0].descriptors == 1);
  SECTION("a refusal gives back that one and what waits behind it") {
    CHECK(listeners.hear(Kind::handle_nack).refused.size() == 2);
    CHECK(listeners.recipient.outstanding() == 0);
    CHECK_FALSE(listeners.recipient.has_room());
  }
  SECTION("what waits can be had back, what is on its way can't") {
    CHECK(listeners.recipient.take_unsent().size() == 1);
    CHECK(listeners.recipient.outstanding() == 1);
  }
}

TEST_CASE("recipient: when it is lost, all that it did not acknowledge is to be had, in order") {
  const NoLeak no_leak;
  Desk listeners(node);
  listeners.assign(1);
  listeners.assign(1, listeners.other_name);
  listeners.assign(1);
  CHECK(listeners.send() == 0);
  const std::vector<Connection> left = listeners.recipient.take_all();
  REQUIRE(left.size() == 3);
  CHECK(left[0].origin == listeners.origin);
  CHECK(left[1].origin == listeners.other_name);
  CHECK(listeners.recipient.outstanding() == 0);
}

TEST_CASE("recipient: one of many is counted by what it takes and tells of as closed") {
  Desk listeners(counted_many);
  listeners.assign(5);
  CHECK(listeners.recipient.held() == 5);
  CHECK(listeners.send() == 0);
  CHECK(listeners.hear(Kind::taken, 5).is_expected);
  CHECK(listeners.recipient.held() == 5);
  CHECK(listeners.hear(Kind::closed, 2).is_expected);
  CHECK(listeners.recipient.held() == 3);
  CHECK_FALSE(listeners.hear(Kind::closed, 4).is_expected);
  CHECK(listeners.recipient.held() == 3);
}

TEST_CASE("recipient: where nobody counts, closes are out of place") {
  Desk listeners(many);
  listeners.assign(1);
  CHECK(listeners.send() == 0);
  CHECK(listeners.hear(Kind::taken, 1).is_expected);
  CHECK(listeners.recipient.held() == 0);
  CHECK_FALSE(listeners.hear(Kind::closed, 1).is_expected);
}

TEST_CASE("recipient: Node is asked to tell when it has none, and how many now and then") {
  Desk listeners(counted_node);
  listeners.assign(1);
  CHECK(listeners.send() == 0);
  static_cast<void>(listeners.take_sent());
  CHECK(listeners.hear(Kind::handle_ack).is_expected);
  REQUIRE(listeners.sent.size() == 1);
  CHECK(listeners.take_sent()[0].line == protocol::ask_all_closed_line());
  CHECK(listeners.recipient.held() == 1);
  SECTION("it tells") {
    CHECK(listeners.hear(Kind::all_closed).is_expected);
    CHECK(listeners.recipient.held() == 0);
    CHECK_FALSE(listeners.hear(Kind::all_closed).is_expected);
    // Not asked about nothing, nor ever again without a new connection.
    listeners.recipient.on_time(listeners.recipient.next_wake());
    CHECK(listeners.sent.empty());
    CHECK(listeners.recipient.next_wake() == TimePoint::max());
  }
  SECTION("it is asked, ever more seldom") {
    std::vector<Milliseconds> pauses;
    for (int i = 0; i < 9; ++i) {
      const TimePoint wake = listeners.recipient.next_wake();
      pauses.push_back(std::chrono::duration_cast<Milliseconds>(wake - listeners.now));
      listeners.now = wake;
      listeners.recipient.on_time(listeners.now);
      REQUIRE(listeners.take_sent().size() == 1);
      CHECK(listeners.hear(Kind::open, 1).is_expected);
      CHECK(listeners.recipient.held() == 1);
    }
    CHECK(pauses == std::vector<Milliseconds>{10ms, 10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1000ms});
    CHECK_FALSE(listeners.hear(Kind::open, 0).is_expected);
  }
  SECTION("one that does not answer is asked once") {
    for (int i = 0; i < 5; ++i) listeners.recipient.on_time(listeners.recipient.next_wake());
    CHECK(listeners.sent.size() == 1);
  }
}

TEST_CASE("recipient: what is done at a leave waits for its acknowledgements, and not for ever") {
  Desk listeners(many);
  int done = 0;
  listeners.assign(1);
  CHECK(listeners.send() == 0);
  listeners.recipient.leave([&] { ++done; }, listeners.now + 1s);
  CHECK_FALSE(listeners.recipient.has_room());
  CHECK_FALSE(listeners.recipient.take_on_drained(listeners.now));
  SECTION("acknowledged") {
    CHECK(listeners.hear(Kind::taken, 1).is_expected);
    listeners.recipient.take_on_drained(listeners.now)();
  }
  SECTION("too late") {
    CHECK(listeners.recipient.next_wake() == listeners.now + 1s);
    listeners.recipient.take_on_drained(listeners.now + 1s)();
  }
  CHECK(done == 1);
  CHECK_FALSE(listeners.recipient.take_on_drained(listeners.now + 1s));
  CHECK(listeners.recipient.next_wake() == TimePoint::max());
}

TEST_CASE("recipient: one of Node's cluster serves what it has asked for, and is sent one a message") {
  const NoLeak no_leak;
  Desk listeners(cluster);
  CHECK_FALSE(listeners.recipient.serves(*listeners.origin));
  listeners.serve("7");
  CHECK(listeners.recipient.serves(*listeners.origin));
  listeners.assign(2);
  CHECK(listeners.send() == 0);
  REQUIRE(listeners.sent.size() == 2);
  CHECK(listeners.sent[1].line == R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":)"
                                  R"({"cmd":"NODE_CLUSTER","act":"newconn","key":"7","seq":2}})");
  CHECK(listeners.sent[1].descriptors == 1);
  CHECK(listeners.hear(Kind::handle_ack).is_expected);
  CHECK(listeners.recipient.outstanding() == 2);  // received is not accepted
  CHECK(listeners.accept(1).is_expected);
  CHECK(listeners.recipient.outstanding() == 1);
}

TEST_CASE("recipient: what Node's cluster turns away, or could not receive, is to be had again") {
  const NoLeak no_leak;
  Desk listeners(cluster);
  listeners.serve("7");
  listeners.assign(3);
  CHECK(listeners.send() == 0);
  SECTION("turned away") {
    for (int i = 0; i < 3; ++i) CHECK(listeners.hear(Kind::handle_ack).is_expected);
    const Recipient::Verdict verdict = listeners.accept(2, false);
    CHECK(verdict.is_by_choice);
    CHECK(verdict.refused.size() == 1);
    CHECK(listeners.accept(3).is_expected);
    CHECK(listeners.accept(1).is_expected);
    CHECK(listeners.recipient.outstanding() == 0);
  }
  SECTION("not received: the first that was not confirmed") {
    CHECK(listeners.hear(Kind::handle_ack).is_expected);
    CHECK(listeners.hear(Kind::handle_nack).refused.size() == 1);
    CHECK_FALSE(listeners.accept(2).is_expected);
    CHECK(listeners.accept(1).is_expected);
    CHECK(listeners.accept(3).is_expected);
  }
  CHECK_FALSE(listeners.recipient.is_serving());
}

TEST_CASE("recipient: answers of Node's cluster that nobody asked for mean nothing") {
  Desk listeners(cluster);
  listeners.serve("7");
  for (const Kind each : {Kind::taken, Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(listeners.hear(each, 1).is_expected);
  CHECK_FALSE(listeners.accept(1).is_expected);
  listeners.assign(1);
  CHECK(listeners.send() == 0);
  CHECK_FALSE(listeners.accept(2).is_expected);
  CHECK(listeners.accept(1).is_expected);
  CHECK_FALSE(listeners.accept(1).is_expected);
}

TEST_CASE("recipient: a listener that Node's cluster has closed: what waits for it goes to others") {
  const NoLeak no_leak;
  Desk listeners(cluster);
  listeners.serve("7");
  listeners.assign(1);
  CHECK(listeners.send() == 0);
  listeners.assign(2);
  CHECK(listeners.forgo() == 2);
  CHECK_FALSE(listeners.recipient.serves(*listeners.origin));
  CHECK(listeners.accept(1, false).refused.size() == 1);
}

TEST_CASE("recipient: what Node's cluster has open is measured, at most every 10 ms") {
  Desk listeners(counted_cluster);
  std::size_t files = 20;
  listeners.recipient.measure_by([&] { return files; });
  listeners.serve("7");
  listeners.now = TimePoint{} + 1s;
  listeners.recipient.measure(listeners.now);
  CHECK(listeners.recipient.held() == 0);
  listeners.assign(2);
  CHECK(listeners.send() == 0);
  CHECK(listeners.accept(1).is_expected);
  CHECK(listeners.accept(2).is_expected);
  CHECK(listeners.recipient.held() == 2);
  files = 21;
  listeners.recipient.measure(listeners.now + 9ms);
  CHECK(listeners.recipient.held() == 2);
  listeners.recipient.measure(listeners.now + 10ms);
  CHECK(listeners.recipient.held() == 1);
  files = 3;
  listeners.recipient.measure(listeners.now + 1s);
  CHECK(listeners.recipient.held() == 0);
}

}  // namespace baton::test
