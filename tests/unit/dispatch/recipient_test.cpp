// Unit tests of a recipient: what it is sent when, and what its answers do.
#include <vector>

#include "tests/support/system/descriptors.hpp"
#include "tests/unit/dispatch/recipient_fixture.hpp"

namespace baton::test {

TEST_CASE("recipient: many go in one message, and are held until they are acknowledged") {
  const NoLeak no_leak;
  RecipientFixture fixture(many);
  fixture.assign(5);
  CHECK(fixture.send() == 0);
  REQUIRE(fixture.sent.size() == 1);
  CHECK(fixture.sent[0].line == R"({"cmd":"NODE_BATON_CONNECTIONS","count":5,"msg":"server"})");
  CHECK(fixture.sent[0].descriptors == 5);
  const auto before = open_descriptors().size();
  CHECK(fixture.hear(Kind::taken, 5).is_expected);
  CHECK(open_descriptors().size() == before - 5);
  CHECK(fixture.recipient.outstanding() == 0);
}

TEST_CASE("recipient: the connections of one message are of one listener") {
  RecipientFixture fixture(many);
  fixture.assign(2);
  fixture.assign(1, fixture.other_name);
  fixture.assign(1);
  CHECK(fixture.send() == 0);
  REQUIRE(fixture.sent.size() == 3);
  CHECK(fixture.sent[0].descriptors == 2);
  CHECK(fixture.sent[1].line == R"({"cmd":"NODE_BATON_CONNECTIONS","count":1,"msg":"api"})");
  CHECK(fixture.sent[2].descriptors == 1);
}

TEST_CASE("recipient: at most 253 in a message") {
  RecipientFixture fixture({.takes_many = true, .is_counted = false, .room = 1000});
  fixture.assign(300);
  CHECK(fixture.send() == 0);
  REQUIRE(fixture.sent.size() == 2);
  CHECK(fixture.sent[0].descriptors == 253);
  CHECK(fixture.sent[1].descriptors == 47);
}

TEST_CASE("recipient: it has room until as much is outstanding as its terms say") {
  RecipientFixture fixture(many);
  fixture.assign(7);
  CHECK(fixture.recipient.has_room());
  fixture.assign(1);
  CHECK_FALSE(fixture.recipient.has_room());
  CHECK(fixture.send() == 0);
  CHECK_FALSE(fixture.recipient.has_room());
  CHECK(fixture.hear(Kind::taken, 8).is_expected);
  CHECK(fixture.recipient.has_room());
}

TEST_CASE("recipient: answers are for the messages in their order") {
  RecipientFixture fixture(many);
  for (const int count : {3, 2}) {
    fixture.assign(count);
    CHECK(fixture.send() == 0);
  }
  const Recipient::Verdict first = fixture.hear(Kind::taken, 1);
  CHECK(first.is_expected);
  CHECK(first.refused.size() == 2);
  CHECK(fixture.recipient.outstanding() == 2);
  CHECK(fixture.hear(Kind::taken, 2).refused.empty());
  CHECK(fixture.recipient.outstanding() == 0);
}

TEST_CASE("recipient: one that could not take all is given nothing for a moment") {
  RecipientFixture fixture(many);
  fixture.assign(2);
  CHECK(fixture.send() == 0);
  CHECK(fixture.hear(Kind::taken, 0).refused.size() == 2);
  CHECK_FALSE(fixture.recipient.has_room());
  const TimePoint wake = fixture.recipient.next_wake();
  CHECK(wake == fixture.now + 100ms);
  fixture.recipient.on_time(wake - 1ms);
  CHECK_FALSE(fixture.recipient.has_room());
  fixture.recipient.on_time(wake);
  CHECK(fixture.recipient.has_room());
  CHECK(fixture.recipient.next_wake() == TimePoint::max());
}

TEST_CASE("recipient: answers that nobody asked for, or of the other kind, mean nothing") {
  RecipientFixture fixture(many);
  for (const Kind each : {Kind::taken, Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(fixture.hear(each, 1).is_expected);
  fixture.assign(2);
  CHECK(fixture.send() == 0);
  for (const Kind each : {Kind::handle_ack, Kind::handle_nack, Kind::closed, Kind::open, Kind::all_closed})
    CHECK_FALSE(fixture.hear(each, 1).is_expected);
  CHECK_FALSE(fixture.hear(Kind::taken).is_expected);
  CHECK(fixture.recipient.outstanding() == 2);
  CHECK_FALSE(fixture.hear(Kind::taken, 3).is_expected);  // more than there were: it has them all, at least
  CHECK(fixture.recipient.outstanding() == 0);
}

TEST_CASE("recipient: what its channel has no room for comes back, and it is passed over until there is some") {
  RecipientFixture fixture(many);
  fixture.assign(2);
  CHECK(fixture.send() == 0);
  fixture.outcome = GENERATE(Channel::Sent::full, Channel::Sent::closed);
  fixture.assign(3);
  CHECK(fixture.send() == 3);
  CHECK(fixture.recipient.outstanding() == 2);
  CHECK_FALSE(fixture.recipient.has_room());
  CHECK_FALSE(fixture.recipient.is_serving());
  fixture.recipient.unblock();
  CHECK(fixture.recipient.has_room());
}

TEST_CASE("recipient: when it is lost, all that it did not acknowledge is to be had, in order") {
  const NoLeak no_leak;
  RecipientFixture fixture(node);
  fixture.assign(1);
  fixture.assign(1, fixture.other_name);
  fixture.assign(1);
  CHECK(fixture.send() == 0);
  const std::vector<baton::Connection> left = fixture.recipient.take_all();
  REQUIRE(left.size() == 3);
  CHECK(left[0].origin == fixture.origin);
  CHECK(left[1].origin == fixture.other_name);
  CHECK(fixture.recipient.outstanding() == 0);
}

TEST_CASE("recipient: one of many is counted by what it takes and tells of as closed") {
  RecipientFixture fixture(counted_many);
  fixture.assign(5);
  CHECK(fixture.recipient.held() == 5);
  CHECK(fixture.send() == 0);
  CHECK(fixture.hear(Kind::taken, 5).is_expected);
  CHECK(fixture.recipient.held() == 5);
  CHECK(fixture.hear(Kind::closed, 2).is_expected);
  CHECK(fixture.recipient.held() == 3);
  CHECK_FALSE(fixture.hear(Kind::closed, 4).is_expected);
  CHECK(fixture.recipient.held() == 3);
}

TEST_CASE("recipient: where nobody counts, closes are out of place") {
  RecipientFixture fixture(many);
  fixture.assign(1);
  CHECK(fixture.send() == 0);
  CHECK(fixture.hear(Kind::taken, 1).is_expected);
  CHECK(fixture.recipient.held() == 0);
  CHECK_FALSE(fixture.hear(Kind::closed, 1).is_expected);
}

TEST_CASE("recipient: what is done at a leave waits for its acknowledgements, and not for ever") {
  RecipientFixture fixture(many);
  int done = 0;
  fixture.assign(1);
  CHECK(fixture.send() == 0);
  fixture.recipient.leave([&] { ++done; }, fixture.now + 1s);
  CHECK_FALSE(fixture.recipient.has_room());
  CHECK_FALSE(fixture.recipient.take_on_drained(fixture.now));
  SECTION("acknowledged") {
    CHECK(fixture.hear(Kind::taken, 1).is_expected);
    fixture.recipient.take_on_drained(fixture.now)();
  }
  SECTION("too late") {
    CHECK(fixture.recipient.next_wake() == fixture.now + 1s);
    fixture.recipient.take_on_drained(fixture.now + 1s)();
  }
  CHECK(done == 1);
  CHECK_FALSE(fixture.recipient.take_on_drained(fixture.now + 1s));
  CHECK(fixture.recipient.next_wake() == TimePoint::max());
}

}  // namespace baton::test
