// Unit tests of finding the inherited channel in an environment that anybody may have set.
#include "worker/inherited_channel.hpp"

#include <sys/socket.h>

#include "common/channel.hpp"
#include "common/error.hpp"
#include "common/protocol.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

std::string channel_refusal() {
  return message_of<UsageError>([] { const Fd channel = take_inherited_channel(); });
}

}  // namespace

TEST_CASE("the channel is taken from the environment, and its variables are removed") {
  const NoLeak no_leak;
  auto [ours, theirs] = make_channel_pair();
  const int number = ours.release();
  const Variable fd(protocol::channel_variable, std::to_string(number));
  const Variable mode(protocol::serialization_variable, "json");
  const Fd channel = take_inherited_channel();
  CHECK(channel.get() == number);
  CHECK(std::getenv(protocol::channel_variable) == nullptr);
  CHECK(std::getenv(protocol::serialization_variable) == nullptr);
}

TEST_CASE("without a serialization mode, it is JSON") {
  auto [ours, theirs] = make_channel_pair();
  const Variable fd(protocol::channel_variable, std::to_string(ours.get()));
  const Variable mode(protocol::serialization_variable);
  const Fd channel = take_inherited_channel();
  CHECK(channel.get() == ours.release());
}

TEST_CASE("without a channel, the message says what this role is") {
  const Variable fd(protocol::channel_variable);
  const std::string message = channel_refusal();
  CHECK(contains(message, "NODE_CHANNEL_FD is not set"));
  CHECK(contains(message, "to start a cluster: baton"));
}

TEST_CASE("another serialization is refused with the way out") {
  const NoLeak no_leak;
  const auto [ours, theirs] = make_channel_pair();
  const Variable fd(protocol::channel_variable, std::to_string(ours.get()));
  const Variable mode(protocol::serialization_variable, "advanced");
  CHECK(contains(channel_refusal(), "NODE_CHANNEL_SERIALIZATION_MODE=advanced: only json"));
}

TEST_CASE("what is no number of a descriptor above 2 is refused") {
  const Variable mode(protocol::serialization_variable);
  for (const char* text : {"", "x", "3x", " 3", "-1", "0", "1", "2", "99999999999999"}) {
    CAPTURE(text);
    const Variable fd(protocol::channel_variable, text);
    CHECK(channel_refusal() == "NODE_CHANNEL_FD=" + std::string(text) + ": not the number of a descriptor above 2");
  }
}

TEST_CASE("what is no open Unix stream socket is refused, and not closed") {
  const NoLeak no_leak;
  const Variable mode(protocol::serialization_variable);
  const Fd file{check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open")};
  const Fd datagram{check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
  const Fd network{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  for (const int number : {file.get(), datagram.get(), network.get(), 9999}) {
    const Variable fd(protocol::channel_variable, std::to_string(number));
    CHECK(contains(channel_refusal(), "not an open Unix stream socket"));
  }
}

TEST_CASE("a worker's number is what the master gave, or 0") {
  {
    const Variable number(protocol::number_variable);
    CHECK(inherited_number() == 0);
  }
  {
    const Variable number(protocol::number_variable, "7");
    CHECK(inherited_number() == 7);
  }
  for (const char* text : {"", "0", "-1", "seven", "2147483648"}) {
    CAPTURE(text);
    const Variable number(protocol::number_variable, text);
    const std::string message = message_of<UsageError>([] { inherited_number(); });
    CHECK(message.starts_with("BATON_WORKER: \""));
  }
}

}  // namespace baton::test
