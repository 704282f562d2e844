// Unit tests of sending to a peer that reads slowly, not at all, or has gone.
#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/common/channel/channel_peer.hpp"

namespace baton::test {
namespace {

constexpr int small_buffer = 4096;  // the kernel makes it its least, some 4.5 KB

void shrink_buffer(const Channel& channel) {
  check(::setsockopt(channel.socket().get(), SOL_SOCKET, SO_SNDBUF, &small_buffer, sizeof small_buffer), "setsockopt");
}

std::string long_handle_line(std::size_t size) {
  return R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":")" + std::string(size, 'x') + "\"}";
}

struct Delivered {
  std::size_t frames = 0;
  std::size_t handles = 0;
  std::size_t faults = 0;
};

/// Flushes one end and reads the other until nothing is left, in turns and not for ever.
Delivered pump(Channel& from, Channel& to) {
  Delivered delivered;
  for (int round = 0; round < 100'000; ++round) {
    const Channel::Sent sent = from.flush();
    const Channel::Batch batch = to.receive();
    delivered.frames += batch.frames.size();
    delivered.faults += batch.faults.size();
    for (const Frame& frame : batch.frames) delivered.handles += frame.handle ? 1U : 0U;
    if (sent == Channel::Sent::whole) break;
  }
  return delivered;
}

}  // namespace

TEST_CASE("a line of 1 MB passes a small socket buffer in either direction, its descriptor once") {
  const NoLeak no_leak;
  auto [first, second] = make_channel_pair();
  Channel left(std::move(first));
  Channel right(std::move(second));
  shrink_buffer(left);
  shrink_buffer(right);
  const Fd handle = make_handle();
  const std::string line = long_handle_line(std::size_t{1} << 20);
  for (Channel* from : {&left, &right}) {
    Channel& to = from == &left ? right : left;
    CHECK(from->send(line, handle.duplicate()) == Channel::Sent::queued);
    CHECK(from->has_unsent());
    CHECK(from->send("\"after\"") == Channel::Sent::queued);
    const Delivered delivered = pump(*from, to);
    CHECK_FALSE(from->has_unsent());
    CHECK(delivered.frames == 2);
    CHECK(delivered.handles == 1);
    CHECK(delivered.faults == 0);
  }
}

TEST_CASE("lines queued behind a full socket arrive in order, each with its descriptor") {
  const NoLeak no_leak;
  auto [first, second] = make_channel_pair();
  Channel sender(std::move(first));
  Channel receiver(std::move(second));
  shrink_buffer(sender);
  std::vector<Fd> handles;
  for (int i = 0; i < 30; ++i) {
    handles.push_back(make_handle());
    CHECK(sender.send(long_handle_line(1000), handles.back().duplicate()) != Channel::Sent::full);
  }
  REQUIRE(sender.has_unsent());
  std::vector<Frame> frames;
  for (int round = 0; round < 1000 && frames.size() < handles.size(); ++round) {
    sender.flush();
    Channel::Batch batch = receiver.receive();
    CHECK(batch.faults.empty());
    for (Frame& frame : batch.frames) frames.push_back(std::move(frame));
  }
  REQUIRE(frames.size() == handles.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    REQUIRE(frames[i].handle);
    CHECK(is_same_file(*frames[i].handle, handles[i]));
  }
}

TEST_CASE("a peer that never reads is refused at the limit, and no descriptor is kept beyond it") {
  const NoLeak no_leak;
  Ends ends(Channel::Limits{.line = 1000, .unsent = 20'500});
  shrink_buffer(ends.channel);
  const std::string line(999, '1');
  std::size_t queued = 0;
  Channel::Sent sent = Channel::Sent::whole;
  for (int i = 0; i < 1000 && sent != Channel::Sent::full; ++i) {
    sent = ends.channel.send(line, make_handle());
    queued += sent == Channel::Sent::queued ? 1U : 0U;
  }
  CHECK(sent == Channel::Sent::full);
  CHECK(queued > 0);
  CHECK(queued <= 20);  // 20,500 bytes of lines of 1,000

  const auto before = open_descriptors();
  for (int i = 0; i < 100; ++i) CHECK(ends.channel.send(line, make_handle()) == Channel::Sent::full);
  CHECK(open_descriptors() == before);
  CHECK(ends.channel.send("1") == Channel::Sent::queued);  // a small one still has room
}

TEST_CASE("once the peer reads again, a full channel sends again") {
  const NoLeak no_leak;
  Ends ends(Channel::Limits{.line = 1000, .unsent = 5000});
  shrink_buffer(ends.channel);
  Channel::Sent sent = Channel::Sent::whole;
  for (int i = 0; i < 1000 && sent != Channel::Sent::full; ++i) sent = ends.channel.send(std::string(999, '1'));
  REQUIRE(sent == Channel::Sent::full);
  std::string received;
  for (int round = 0; round < 1000 && ends.channel.has_unsent(); ++round) {
    received += ends.peer.read();
    ends.channel.flush();
  }
  received += ends.peer.read();
  CHECK_FALSE(ends.channel.has_unsent());
  CHECK(received.size() % 1000 == 0);
  CHECK(count_of(received, "\n") == received.size() / 1000);
  CHECK(ends.channel.send("1") == Channel::Sent::whole);
}

TEST_CASE("a message larger than the limit is refused at once") {
  const NoLeak no_leak;
  Ends ends(Channel::Limits{.line = 1000, .unsent = 1000});
  CHECK(ends.channel.send(std::string(1000, '1'), make_handle()) == Channel::Sent::full);
  CHECK_FALSE(ends.channel.has_unsent());
  CHECK(ends.channel.send(std::string(999, '1')) == Channel::Sent::whole);
}

TEST_CASE("sending to a peer that has gone says so, and keeps nothing") {
  const NoLeak no_leak;
  Ends ends;
  ends.peer.close();
  const auto before = open_descriptors();
  CHECK(ends.channel.send("1", make_handle()) == Channel::Sent::closed);
  CHECK(open_descriptors() == before);
  CHECK_FALSE(ends.channel.has_unsent());
  CHECK(ends.channel.receive().closed);
}

TEST_CASE("when the peer goes, what was queued for it is dropped with its descriptors") {
  const NoLeak no_leak;
  Ends ends;
  shrink_buffer(ends.channel);
  const auto before = open_descriptors();
  for (int i = 0; i < 20; ++i) CHECK(ends.channel.send(std::string(999, '1'), make_handle()) != Channel::Sent::full);
  REQUIRE(open_descriptors().size() > before.size());
  ends.peer.close();
  CHECK(ends.channel.flush() == Channel::Sent::closed);
  CHECK_FALSE(ends.channel.has_unsent());
  CHECK(ends.channel.send("1") == Channel::Sent::closed);
}

TEST_CASE("a peer that leaves data of ours unread is a closed channel, not an error") {
  const NoLeak no_leak;
  Ends ends;
  CHECK(ends.channel.send("\"unread\"") == Channel::Sent::whole);
  ends.peer.send("\"last\"\n");
  ends.peer.close();  // the kernel tells us so by ECONNRESET
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  CHECK(batch.frames.size() == 1);
  CHECK(ends.channel.receive().closed);
  CHECK(ends.channel.send("1") == Channel::Sent::closed);
}

TEST_CASE("a queued descriptor is closed with its channel") {
  const NoLeak no_leak;
  Ends ends;
  shrink_buffer(ends.channel);
  for (int i = 0; i < 20; ++i) CHECK(ends.channel.send(std::string(999, '1'), make_handle()) != Channel::Sent::full);
  CHECK(ends.channel.has_unsent());
}

TEST_CASE("lines that are gathered go out in order, in one piece, and not into one that takes a descriptor along") {
  const NoLeak no_leak;
  auto [mine, peers] = make_channel_pair();
  Channel channel(std::move(mine), {.unsent = 40});
  Channel peer(std::move(peers));
  CHECK(channel.add("1") == Channel::Sent::queued);
  CHECK(channel.add("2") == Channel::Sent::queued);
  CHECK(peer.receive().frames.empty());
  CHECK(channel.send("3") == Channel::Sent::whole);
  CHECK(channel.add(std::string(40, '4')) == Channel::Sent::full);
  CHECK(channel.add("5") == Channel::Sent::queued);
  CHECK(channel.flush() == Channel::Sent::whole);
  const Channel::Batch batch = peer.receive();
  REQUIRE(batch.frames.size() == 4);
  const int expected[] = {1, 2, 3, 5};
  for (std::size_t i = 0; i < 4; ++i) CHECK(batch.frames[i].value == expected[i]);
}

}  // namespace baton::test
