// Unit tests of a recipient that is a Node: one connection a message, and how it is known what it holds.
#include <vector>

#include "tests/support/system/descriptors.hpp"
#include "tests/unit/dispatch/recipient_fixture.hpp"

namespace baton::test {

TEST_CASE("recipient: one taken for Node gets one, and the next when it has acknowledged that") {
  RecipientFixture fixture(node);
  fixture.assign(3);
  CHECK(fixture.send() == 0);
  CHECK(fixture.take_sent().size() == 1);
  CHECK(fixture.send() == 0);
  CHECK(fixture.sent.empty());
  CHECK(fixture.hear(Kind::handle_ack).is_expected);
  CHECK(fixture.send() == 0);
  REQUIRE(fixture.sent.size() == 1);
  CHECK(fixture.sent[0].line == R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"server"})");
  CHECK(fixture.sent[0].descriptors == 1);
  SECTION("a refusal gives back that one and what waits behind it") {
    CHECK(fixture.hear(Kind::handle_nack).refused.size() == 2);
    CHECK(fixture.recipient.outstanding() == 0);
    CHECK_FALSE(fixture.recipient.has_room());
  }
  SECTION("what waits can be had back, what is on its way can't") {
    CHECK(fixture.recipient.take_unsent().size() == 1);
    CHECK(fixture.recipient.outstanding() == 1);
  }
}

TEST_CASE("recipient: Node is asked to tell when it has none, and how many now and then") {
  RecipientFixture fixture(counted_node);
  fixture.assign(1);
  CHECK(fixture.send() == 0);
  static_cast<void>(fixture.take_sent());
  CHECK(fixture.hear(Kind::handle_ack).is_expected);
  REQUIRE(fixture.sent.size() == 1);
  CHECK(fixture.take_sent()[0].line == protocol::ask_all_closed_line());
  CHECK(fixture.recipient.held() == 1);
  SECTION("it tells") {
    CHECK(fixture.hear(Kind::all_closed).is_expected);
    CHECK(fixture.recipient.held() == 0);
    CHECK_FALSE(fixture.hear(Kind::all_closed).is_expected);
    // Not asked about nothing, nor ever again without a new connection.
    fixture.recipient.on_time(fixture.recipient.next_wake());
    CHECK(fixture.sent.empty());
    CHECK(fixture.recipient.next_wake() == TimePoint::max());
  }
  SECTION("it is asked, ever more seldom") {
    std::vector<Milliseconds> pauses;
    for (int i = 0; i < 9; ++i) {
      const TimePoint wake = fixture.recipient.next_wake();
      pauses.push_back(std::chrono::duration_cast<Milliseconds>(wake - fixture.now));
      fixture.now = wake;
      fixture.recipient.on_time(fixture.now);
      REQUIRE(fixture.take_sent().size() == 1);
      CHECK(fixture.hear(Kind::open, 1).is_expected);
      CHECK(fixture.recipient.held() == 1);
    }
    CHECK(pauses == std::vector<Milliseconds>{10ms, 10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1000ms});
    CHECK_FALSE(fixture.hear(Kind::open, 0).is_expected);
  }
  SECTION("one that does not answer is asked once") {
    for (int i = 0; i < 5; ++i) fixture.recipient.on_time(fixture.recipient.next_wake());
    CHECK(fixture.sent.size() == 1);
  }
}

TEST_CASE("recipient: one of Node's cluster serves what it has asked for, and is sent one a message") {
  const NoLeak no_leak;
  RecipientFixture fixture(cluster);
  CHECK_FALSE(fixture.recipient.serves(*fixture.origin));
  fixture.serve("7");
  CHECK(fixture.recipient.serves(*fixture.origin));
  fixture.assign(2);
  CHECK(fixture.send() == 0);
  REQUIRE(fixture.sent.size() == 2);
  CHECK(fixture.sent[1].line == R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":)"
                                R"({"cmd":"NODE_CLUSTER","act":"newconn","key":"7","seq":2}})");
  CHECK(fixture.sent[1].descriptors == 1);
  CHECK(fixture.hear(Kind::handle_ack).is_expected);
  CHECK(fixture.recipient.outstanding() == 2);  // received is not accepted
  CHECK(fixture.accept(1).is_expected);
  CHECK(fixture.recipient.outstanding() == 1);
}

TEST_CASE("recipient: what Node's cluster turns away, or could not receive, is to be had again") {
  const NoLeak no_leak;
  RecipientFixture fixture(cluster);
  fixture.serve("7");
  fixture.assign(3);
  CHECK(fixture.send() == 0);
  SECTION("turned away") {
    for (int i = 0; i < 3; ++i) CHECK(fixture.hear(Kind::handle_ack).is_expected);
    const Recipient::Verdict verdict = fixture.accept(2, false);
    CHECK(verdict.is_by_choice);
    CHECK(verdict.refused.size() == 1);
    CHECK(fixture.accept(3).is_expected);
    CHECK(fixture.accept(1).is_expected);
    CHECK(fixture.recipient.outstanding() == 0);
  }
  SECTION("not received: the first that was not confirmed") {
    CHECK(fixture.hear(Kind::handle_ack).is_expected);
    CHECK(fixture.hear(Kind::handle_nack).refused.size() == 1);
    CHECK_FALSE(fixture.accept(2).is_expected);
    CHECK(fixture.accept(1).is_expected);
    CHECK(fixture.accept(3).is_expected);
  }
  CHECK_FALSE(fixture.recipient.is_serving());
}

TEST_CASE("recipient: answers of Node's cluster that nobody asked for mean nothing") {
  RecipientFixture fixture(cluster);
  fixture.serve("7");
  for (const Kind each : {Kind::taken, Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(fixture.hear(each, 1).is_expected);
  CHECK_FALSE(fixture.accept(1).is_expected);
  fixture.assign(1);
  CHECK(fixture.send() == 0);
  CHECK_FALSE(fixture.accept(2).is_expected);
  CHECK(fixture.accept(1).is_expected);
  CHECK_FALSE(fixture.accept(1).is_expected);
}

TEST_CASE("recipient: a listener that Node's cluster has closed: what waits for it goes to others") {
  const NoLeak no_leak;
  RecipientFixture fixture(cluster);
  fixture.serve("7");
  fixture.assign(1);
  CHECK(fixture.send() == 0);
  fixture.assign(2);
  CHECK(fixture.forgo() == 2);
  CHECK_FALSE(fixture.recipient.serves(*fixture.origin));
  CHECK(fixture.accept(1, false).refused.size() == 1);
}

TEST_CASE("recipient: what Node's cluster has open is measured, at most every 10 ms") {
  RecipientFixture fixture(counted_cluster);
  std::size_t files = 20;
  fixture.recipient.measure_by([&] { return files; });
  fixture.serve("7");
  fixture.now = TimePoint{} + 1s;
  fixture.recipient.measure(fixture.now);
  CHECK(fixture.recipient.held() == 0);
  fixture.assign(2);
  CHECK(fixture.send() == 0);
  CHECK(fixture.accept(1).is_expected);
  CHECK(fixture.accept(2).is_expected);
  CHECK(fixture.recipient.held() == 2);
  files = 21;
  fixture.recipient.measure(fixture.now + 9ms);
  CHECK(fixture.recipient.held() == 2);
  fixture.recipient.measure(fixture.now + 10ms);
  CHECK(fixture.recipient.held() == 1);
  files = 3;
  fixture.recipient.measure(fixture.now + 1s);
  CHECK(fixture.recipient.held() == 0);
}

}  // namespace baton::test
