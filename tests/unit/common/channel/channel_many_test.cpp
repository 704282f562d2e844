// Unit tests of messages that bring many descriptors: all arrive, in order, or it is plain which did; none leaks.
#include <sys/mman.h>

#include <array>
#include <string>
#include <vector>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/common/channel/channel_peer.hpp"

namespace baton::test {
namespace {

/// Open files that can be told apart, and their numbers.
struct Files {
  explicit Files(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) files.push_back(make_handle());
    for (const Fd& each : files) numbers.push_back(each.get());
  }
  std::vector<Fd> files;
  std::vector<int> numbers;
};

void check_only_fault(const Channel::Batch& batch, std::string_view part) {
  REQUIRE_FALSE(batch.faults.empty());
  CHECK(contains(batch.faults[0], part));
}

struct Pair {
  explicit Pair(std::pair<Fd, Fd> ends = make_channel_pair())
      : left(std::move(ends.first)), right(std::move(ends.second)) {}
  Channel left;
  Channel right;
};

std::string line_for(std::size_t count) {
  return protocol::connections_line(count, protocol::quoted("server"));
}

void check_same(const std::vector<Fd>& received, const Files& sent, std::size_t count) {
  REQUIRE(received.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    CAPTURE(i);
    REQUIRE(is_same_file(received[i], sent.files[i]));
  }
}

}  // namespace

TEST_CASE("many descriptors in one message arrive in order, and stay their sender's") {
  const NoLeak no_leak;
  const std::size_t count = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{64}, most_handles_per_message);
  CAPTURE(count);
  const Files files(count);
  Pair pair;
  CHECK(pair.left.send_now(line_for(count), files.numbers) == Channel::Sent::whole);
  const Channel::Batch batch = pair.right.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
  CHECK_FALSE(batch.frames[0].handle);
  check_same(batch.frames[0].handles, files, count);
  for (const Fd& each : batch.frames[0].handles) CHECK((::fcntl(each.get(), F_GETFD) & FD_CLOEXEC) != 0);
  for (const Fd& each : files.files) CHECK(::fcntl(each.get(), F_GETFD) != -1);
}

TEST_CASE("messages of many keep theirs apart from one another's, and from those of one") {
  const NoLeak no_leak;
  const Files files(6);
  Pair pair;
  const std::vector<int> first(files.numbers.begin(), files.numbers.begin() + 2);
  const std::vector<int> second(files.numbers.begin() + 3, files.numbers.end());
  CHECK(pair.left.send_now(line_for(2), first) == Channel::Sent::whole);
  CHECK(pair.left.send("\"plain\"") == Channel::Sent::whole);
  CHECK(pair.left.send(protocol::listener_line(), files.files[2].duplicate()) == Channel::Sent::whole);
  CHECK(pair.left.send_now(line_for(3), second) == Channel::Sent::whole);
  CHECK(pair.left.send_now(line_for(0), {}) == Channel::Sent::whole);
  const Channel::Batch batch = pair.right.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 5);
  CHECK(batch.frames[0].handles.size() == 2);
  CHECK(batch.frames[1].handles.empty());
  REQUIRE(batch.frames[2].handle);
  CHECK(is_same_file(*batch.frames[2].handle, files.files[2]));
  REQUIRE(batch.frames[3].handles.size() == 3);
  CHECK(is_same_file(batch.frames[3].handles[2], files.files[5]));
  CHECK(batch.frames[4].handles.empty());
}

TEST_CASE("at the limit of open files the first of many arrive, the others are lost and told of, and nothing leaks") {
  const NoLeak no_leak;
  const std::size_t room = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{7});
  CAPTURE(room);
  const Files files(10);
  Pair pair;
  CHECK(pair.left.send_now(line_for(10), files.numbers) == Channel::Sent::whole);
  const auto before = open_descriptors().size();
  const Channel::Batch batch = [&] {
    const DescriptorLimit limit(room);
    return pair.right.receive();
  }();
  check_only_fault(batch, "RLIMIT_NOFILE");
  REQUIRE(batch.frames.size() == 1);
  check_same(batch.frames[0].handles, files, room);
  CHECK(open_descriptors().size() == before + room);
  CHECK(pair.left.send_now(line_for(10), files.numbers) == Channel::Sent::whole);
  const Channel::Batch next = pair.right.receive();
  CHECK(next.faults.empty());
  REQUIRE(next.frames.size() == 1);
  check_same(next.frames[0].handles, files, 10);
}

TEST_CASE("what there is no room for is not sent, not kept and not closed") {
  const NoLeak no_leak;
  const Files files(3);
  Pair pair;
  std::size_t sent = 0;
  while (pair.left.send_now(line_for(3), files.numbers) == Channel::Sent::whole) ++sent;
  CHECK(sent > 10);
  CHECK_FALSE(pair.left.has_unsent());
  for (const Fd& each : files.files) CHECK(::fcntl(each.get(), F_GETFD) != -1);
  std::size_t received = 0;
  for (Channel::Batch batch = pair.right.receive(); !batch.frames.empty(); batch = pair.right.receive()) {
    for (const Frame& each : batch.frames) CHECK(each.handles.size() == 3);
    received += batch.frames.size();
  }
  CHECK(received == sent);
  CHECK(pair.left.send_now(line_for(3), files.numbers) == Channel::Sent::whole);
}

TEST_CASE("nothing overtakes what is queued") {
  const NoLeak no_leak;
  const Files files(1);
  Pair pair;
  const std::string long_line = '"' + std::string(std::size_t{1} << 20, 'x') + '"';
  CHECK(pair.left.send(long_line) == Channel::Sent::queued);
  CHECK(pair.left.send_now(line_for(1), files.numbers) == Channel::Sent::full);
  std::size_t frames = 0;
  for (int i = 0; i < 1000 && frames == 0; ++i) {
    static_cast<void>(pair.left.flush());
    frames += pair.right.receive().frames.size();
  }
  CHECK(frames == 1);
  CHECK(pair.left.send_now(line_for(1), files.numbers) == Channel::Sent::whole);
  const Channel::Batch batch = pair.right.receive();
  REQUIRE(batch.frames.size() == 1);
  CHECK(batch.frames[0].handles.size() == 1);
}

TEST_CASE("a peer that has gone is told of, and the descriptors stay") {
  const NoLeak no_leak;
  const Files files(2);
  Ends ends;
  ends.peer.close();
  CHECK(ends.channel.send_now(line_for(2), files.numbers) == Channel::Sent::closed);
  for (const Fd& each : files.files) CHECK(::fcntl(each.get(), F_GETFD) != -1);
}

TEST_CASE("a message of many without any is a frame without any") {
  const NoLeak no_leak;
  Ends ends;
  ends.peer.send(line_for(5) + "\n");
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
  CHECK(batch.frames[0].handles.empty());
}

TEST_CASE("a message of many that comes in pieces keeps its descriptors") {
  const NoLeak no_leak;
  Ends ends;
  const Fd handle = make_handle();
  const std::string line = line_for(5) + "\n";
  ends.peer.send(line.substr(0, 1), &handle, 5);
  CHECK(ends.channel.receive().frames.empty());
  ends.peer.send(line.substr(1));
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
  CHECK(batch.frames[0].handles.size() == 5);
}

}  // namespace baton::test
