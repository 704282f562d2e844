// Unit tests of receiving from a peer that errs, by accident or on purpose: descriptors never leak, nothing hangs, and
// what is sound on the stream arrives all the same.
#include <boost/json/serialize.hpp>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/common/channel/channel_peer.hpp"

namespace baton::test {
namespace {

const std::string handle_line = std::string(protocol::listener_line()) + "\n";

/// One sentence, and it speaks of `part`.
void check_fault(const Channel::Batch& batch, std::string_view part) {
  REQUIRE(batch.faults.size() == 1);
  CAPTURE(batch.faults[0]);
  CHECK(contains(batch.faults[0], part));
}

/// The stream goes on: the next message arrives as if nothing had happened.
void check_goes_on(Ends& ends) {
  const Fd handle = make_handle();
  ends.peer.send(handle_line, &handle);
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  CHECK_FALSE(batch.closed);
  REQUIRE(batch.frames.size() == 1);
  REQUIRE(batch.frames[0].handle);
  CHECK(is_same_file(*batch.frames[0].handle, handle));
}

}  // namespace

TEST_CASE("a handle message split at any byte arrives once, with its descriptor") {
  const NoLeak no_leak;
  const Fd handle = make_handle();
  for (std::size_t split = 1; split < handle_line.size(); ++split) {
    CAPTURE(split);
    Ends ends;
    ends.peer.send(handle_line.substr(0, split), &handle);
    const Channel::Batch first = ends.channel.receive();
    CHECK(first.frames.empty());
    CHECK(first.faults.empty());
    ends.peer.send(handle_line.substr(split));
    const Channel::Batch second = ends.channel.receive();
    CHECK(second.faults.empty());
    REQUIRE(second.frames.size() == 1);
    REQUIRE(second.frames[0].handle);
    CHECK(is_same_file(*second.frames[0].handle, handle));
  }
}

TEST_CASE("a handle message that comes byte by byte arrives once, with its descriptor") {
  const NoLeak no_leak;
  const Fd handle = make_handle();
  Ends ends;
  ends.peer.send(handle_line.substr(0, 1), &handle);
  std::size_t frames = 0;
  for (std::size_t i = 1; i < handle_line.size(); ++i) {
    ends.peer.send(handle_line.substr(i, 1));
    const Channel::Batch batch = ends.channel.receive();
    CHECK(batch.faults.empty());
    for (const Frame& frame : batch.frames) {
      ++frames;
      CHECK(frame.handle);
    }
  }
  CHECK(frames == 1);
}

TEST_CASE("plain lines read together with a handle line leave it its descriptor") {
  const NoLeak no_leak;
  const Fd handle = make_handle();
  const std::string plain = "\"one\"\n{\"cmd\":\"two\"}\n";
  const bool is_one_message = GENERATE(false, true);
  CAPTURE(is_one_message);
  Ends ends;
  if (is_one_message) {
    ends.peer.send(plain + handle_line + "\"after\"\n", &handle);
  } else {
    ends.peer.send(plain);
    ends.peer.send(handle_line, &handle);
    ends.peer.send("\"after\"\n");
  }
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 4);
  for (const std::size_t i : {0U, 1U, 3U}) CHECK_FALSE(batch.frames[i].handle);
  REQUIRE(batch.frames[2].handle);
  CHECK(is_same_file(*batch.frames[2].handle, handle));
}

TEST_CASE("a descriptor on a line that is not for one is closed and told of") {
  const NoLeak no_leak;
  const std::string line = GENERATE(std::string("\"plain\"\n"), std::string("\n"), std::string("not json\n"),
                                    std::string("{\"cmd\":\"NODE_HANDLE_ACK\"}\n"));
  CAPTURE(line);
  Ends ends;
  {
    const Fd handle = make_handle();
    ends.peer.send(line, &handle);
  }
  const auto before = open_descriptors();
  const Channel::Batch batch = ends.channel.receive();
  CHECK(open_descriptors() == before);
  CHECK_FALSE(batch.closed);
  REQUIRE_FALSE(batch.faults.empty());
  CHECK(contains(batch.faults.back(), "1 descriptor(s) came with no message"));
  for (const Frame& frame : batch.frames) CHECK_FALSE(frame.handle);
  check_goes_on(ends);
}

TEST_CASE("a descriptor on a line that has begun waits for the line's end and no longer") {
  const NoLeak no_leak;
  const Fd handle = make_handle();
  Ends ends;
  ends.peer.send("\"pla", &handle);
  CHECK(ends.channel.receive().faults.empty());
  ends.peer.send("in\"\n" + handle_line);
  const Channel::Batch batch = ends.channel.receive();
  check_fault(batch, "came with no message");
  REQUIRE(batch.frames.size() == 2);
  CHECK_FALSE(batch.frames[0].handle);
  CHECK_FALSE(batch.frames[1].handle);
}

TEST_CASE("a handle message without its descriptor is a frame without one") {
  const NoLeak no_leak;
  Ends ends;
  ends.peer.send(handle_line);
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
  CHECK_FALSE(batch.frames[0].handle);
  check_goes_on(ends);
}

TEST_CASE("of more descriptors than one message is for, the first is taken and the others are closed") {
  const NoLeak no_leak;
  const std::size_t copies = GENERATE(std::size_t{2}, std::size_t{3}, std::size_t{253});
  CAPTURE(copies);
  const Fd handle = make_handle();
  Ends ends;
  ends.peer.send(handle_line, &handle, copies);
  const auto before = open_descriptors();
  {
    const Channel::Batch batch = ends.channel.receive();
    check_fault(batch, "brought " + std::to_string(copies));
    REQUIRE(batch.frames.size() == 1);
    REQUIRE(batch.frames[0].handle);
    CHECK(is_same_file(*batch.frames[0].handle, handle));
    CHECK(open_descriptors().size() == before.size() + 1);
  }
  check_goes_on(ends);
}

TEST_CASE("descriptors that one line brings in several reads are taken once, the others closed") {
  const NoLeak no_leak;
  const Fd handle = make_handle();
  Ends ends;
  ends.peer.send(handle_line.substr(0, 5), &handle);
  ends.peer.send(handle_line.substr(5, 5), &handle);
  ends.peer.send(handle_line.substr(10), &handle);
  const Channel::Batch batch = ends.channel.receive();
  REQUIRE(batch.frames.size() == 1);
  CHECK(batch.frames[0].handle);
  CHECK(batch.faults.size() == 2);
  check_goes_on(ends);
}

TEST_CASE("at the limit of open files a descriptor is lost, told of, and nothing leaks") {
  const NoLeak no_leak;
  const std::size_t copies = GENERATE(std::size_t{1}, std::size_t{3});
  const rlim_t room = copies - 1;  // of three, two are installed before the third fails
  CAPTURE(copies);
  Ends ends;
  {
    const Fd handle = make_handle();
    ends.peer.send(handle_line, &handle, copies);
  }
  const auto before = open_descriptors();
  const Channel::Batch batch = [&] {
    const DescriptorLimit limit(room);
    return ends.channel.receive();
  }();
  CHECK(open_descriptors() == before);
  check_fault(batch, "RLIMIT_NOFILE");
  CHECK_FALSE(batch.closed);
  REQUIRE(batch.frames.size() == 1);
  CHECK_FALSE(batch.frames[0].handle);
  check_goes_on(ends);
}

TEST_CASE("a descriptor that is no listening socket is delivered like any other") {
  const NoLeak no_leak;
  Ends ends;
  const Fd file = make_handle();
  ends.peer.send(handle_line, &file);
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.empty());
  REQUIRE(batch.frames.size() == 1);
  REQUIRE(batch.frames[0].handle);  // whoever takes it asks what it is
}

TEST_CASE("lines that are no JSON are told of and passed over") {
  const NoLeak no_leak;
  const std::string line = GENERATE(std::string("{"), std::string("{\"a\":}"), std::string("\"a\" \"b\""),
                                    std::string("\"\xff\xfe\""), std::string("\"\xc3\x28\""), std::string(100, '['),
                                    std::string("\0\0", 2), std::string(" "), std::string("nul"));
  CAPTURE(line);
  Ends ends;
  ends.peer.send(line + "\n\"sound\"\n");
  const Channel::Batch batch = ends.channel.receive();
  check_fault(batch, "not JSON");
  for (const char c : batch.faults[0]) CHECK((static_cast<unsigned char>(c) >= ' ' && c != '\x7f'));
  REQUIRE(batch.frames.size() == 1);
  CHECK(text_of(batch.frames[0]) == "sound");
  check_goes_on(ends);
}

TEST_CASE("a flood of garbage makes a bounded number of faults") {
  const NoLeak no_leak;
  Ends ends;
  std::string garbage;
  while (garbage.size() < 100'000) garbage += "}\n";
  ends.peer.send(garbage);
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.faults.size() <= 8);
  CHECK(contains(batch.faults.back(), "not listed"));
  CHECK(batch.frames.empty());
  check_goes_on(ends);
}

TEST_CASE("a flood without end cannot keep a receiver in one call") {
  Ends ends;
  std::string flood;
  while (flood.size() < 60'000) flood += "1\n";
  ends.peer.send(flood);
  std::size_t frames = 0;
  for (int i = 0; i < 100 && frames < flood.size() / 2; ++i) frames += ends.channel.receive().frames.size();
  CHECK(frames == flood.size() / 2);
}

TEST_CASE("a line above the limit closes the channel, and nothing follows") {
  const NoLeak no_leak;
  const Fd handle = make_handle();
  Ends ends(Channel::Limits{.line = 1000, .unsent = 1000});
  ends.peer.send(std::string(100'000, 'x'), &handle);  // more than one read
  ends.peer.send("\n\"later\"\n");
  const Channel::Batch batch = ends.channel.receive();
  CHECK(batch.closed);
  check_fault(batch, "longer than 1000 bytes");
  CHECK(batch.frames.empty());
}

TEST_CASE("an end of file within a message is told of, and its descriptor is closed") {
  const NoLeak no_leak;
  Ends ends;
  {
    const Fd handle = make_handle();
    ends.peer.send(handle_line.substr(0, 20), &handle);
  }
  ends.peer.close();
  const auto before = open_descriptors();
  const Channel::Batch batch = ends.channel.receive();
  CHECK(open_descriptors() == before);
  CHECK(batch.closed);
  CHECK(batch.frames.empty());
  check_fault(batch, "ended within a message");
}

TEST_CASE("a channel destroyed with a message half received closes its descriptor") {
  const NoLeak no_leak;
  Ends ends;
  const Fd handle = make_handle();
  ends.peer.send(handle_line.substr(0, 20), &handle);
  CHECK(ends.channel.receive().frames.empty());
}

}  // namespace baton::test
