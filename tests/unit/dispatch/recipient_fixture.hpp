// Unit tests of a recipient. Its channel is a list of what was sent.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "master/dispatch/recipient.hpp"
#include "master/listeners/listener_alarm.hpp"
#include "master/listeners/vault.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {

using namespace std::chrono_literals;
using protocol::Kind;

struct Sent {
  std::string line;
  std::size_t descriptors = 0;
};

class RecipientFixture {
 public:
  explicit RecipientFixture(const Recipient::Terms& terms)
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

}  // namespace baton::test
