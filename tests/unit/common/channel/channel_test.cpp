// Unit tests of the channel between well-behaved ends.
#include "common/channel.hpp"

#include <boost/json/serialize.hpp>

#include "common/protocol.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/common/channel/channel_peer.hpp"

namespace baton::test {

TEST_CASE("a pair of channel ends is closed on exec") {
  const NoLeak no_leak;
  const auto [first, second] = make_channel_pair();
  CHECK((::fcntl(first.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(second.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a channel makes a socket of any owner non-blocking and closed on exec") {
  const NoLeak no_leak;
  auto [first, second] = make_channel_pair();
  check(::fcntl(first.get(), F_SETFD, 0), "fcntl");
  const Channel channel(std::move(first));
  CHECK((::fcntl(channel.socket().get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(channel.socket().get(), F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("a channel refuses a descriptor that is not open") {
  CHECK_THROWS_AS(Channel(Fd{}), std::system_error);
}

TEST_CASE("values arrive whole and in order, both ways") {
  const NoLeak no_leak;
  auto [first, second] = make_channel_pair();
  Channel left(std::move(first));
  Channel right(std::move(second));
  for (Channel* from : {&left, &right}) {
    Channel& to = from == &left ? right : left;
    CHECK(from->send(R"({"a":1})") == Channel::Sent::whole);
    CHECK(from->send(R"([null,"ä"])") == Channel::Sent::whole);
    const Channel::Batch batch = to.receive();
    CHECK(batch.faults.empty());
    CHECK_FALSE(batch.closed);
    REQUIRE(batch.frames.size() == 2);
    CHECK(boost::json::serialize(batch.frames[0].value) == R"({"a":1})");
    CHECK(boost::json::serialize(batch.frames[1].value) == R"([null,"ä"])");
  }
}

TEST_CASE("a value as deep as programs send them is read") {
  auto [first, second] = make_channel_pair();
  Channel left(std::move(first));
  Channel right(std::move(second));
  left.send(std::string(300, '[') + std::string(300, ']'));
  const Channel::Batch batch = right.receive();
  CHECK(batch.faults.empty());
  CHECK(batch.frames.size() == 1);
}

TEST_CASE("behind a line that is too long nothing is read, however often") {
  auto [near, far] = make_channel_pair();
  Channel receiver(std::move(far), Channel::Limits{.line = 1000});
  const auto write = [socket = near.get()](const std::string& text) {
    REQUIRE(::send(socket, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  };
  write(std::string(3000, ' '));
  CHECK(receiver.receive().closed);
  write("]\n");
  CHECK(receiver.receive().faults.size() == 1);
}

TEST_CASE("a number that can't be written again is not taken for JSON") {
  auto [near, far] = make_channel_pair();
  Channel sender(std::move(near));
  Channel receiver(std::move(far));
  sender.send("1e400");
  sender.send(R"({"x":[1e308,-1e309]})");
  sender.send("1e308");
  const auto batch = receiver.receive();
  CHECK(batch.faults.size() == 2);
  REQUIRE(batch.frames.size() == 1);
  CHECK(batch.frames[0].value == 1e308);
}

TEST_CASE("a line goes out as one line, exactly as given") {
  Ends ends;
  CHECK(ends.channel.send(protocol::listener_line(), make_handle()) == Channel::Sent::whole);
  CHECK(ends.peer.read() == R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"})"
                            "\n");
}

TEST_CASE("a descriptor arrives with its message, closed on exec, and leaves its sender") {
  const NoLeak no_leak;
  auto [first, second] = make_channel_pair();
  Channel sender(std::move(first));
  Channel receiver(std::move(second));
  const Fd handle = make_handle();
  const auto before = open_descriptors();
  CHECK(sender.send(protocol::listener_line(), handle.duplicate()) == Channel::Sent::whole);
  CHECK(open_descriptors() == before);

  const Channel::Batch batch = receiver.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
  REQUIRE(batch.frames[0].handle);
  CHECK(is_same_file(*batch.frames[0].handle, handle));
  CHECK((::fcntl(batch.frames[0].handle->get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("nothing to receive is an empty batch") {
  Ends ends;
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.frames.empty());
  CHECK(batch.faults.empty());
  CHECK_FALSE(batch.closed);
}

TEST_CASE("two messages in one read are two frames") {
  Ends ends;
  ends.peer.send("\"one\"\n\"two\"\n");
  const Channel::Batch batch = ends.channel.receive();
  REQUIRE(batch.frames.size() == 2);
  CHECK(text_of(batch.frames[0]) == "one");
  CHECK(text_of(batch.frames[1]) == "two");
}

TEST_CASE("empty lines mean nothing") {
  Ends ends;
  ends.peer.send("\n\n\"one\"\n\n");
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
}

TEST_CASE("the peer's end of file closes, after what it sent before") {
  const NoLeak no_leak;
  Ends ends;
  ends.peer.send("\"last\"\n");
  ends.peer.close();
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
  CHECK(text_of(batch.frames[0]) == "last");
  CHECK(ends.channel.receive().closed);
}

TEST_CASE("every descriptor in a row of messages goes to its own message") {
  const NoLeak no_leak;
  Ends ends;
  std::vector<Fd> handles;
  for (int i = 0; i < 20; ++i) {
    handles.push_back(make_handle());
    ends.peer.send(std::string(protocol::listener_line()) + "\n", &handles.back());
  }
  std::vector<Frame> frames;
  for (int i = 0; i < 20 && frames.size() < 20; ++i) {
    Channel::Batch batch = ends.channel.receive();
    CHECK(batch.faults.empty());
    for (Frame& frame : batch.frames) frames.push_back(std::move(frame));
  }
  REQUIRE(frames.size() == 20);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    REQUIRE(frames[i].handle);
    CHECK(is_same_file(*frames[i].handle, handles[i]));
  }
}

}  // namespace baton::test
