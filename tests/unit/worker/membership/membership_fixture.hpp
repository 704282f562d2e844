// Unit tests of the library's membership: a program with one, and the test for its master.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/deadline.hpp"
#include "tests/support/system/surroundings.hpp"
#include "worker/membership.hpp"

namespace baton::test {

/// The environment of a worker whose master is this test.
class WorkerEnvironment {
 public:
  explicit WorkerEnvironment(const char* variable = protocol::channel_variable)
      : ends_(make_channel_pair()), number_(ends_.second.release()), channel_(variable, std::to_string(number_)) {}

  Fd take_master_end() { return std::move(ends_.first); }

 private:
  std::pair<Fd, Fd> ends_;
  int number_;
  Variable channel_;
  Variable mode_{protocol::serialization_variable};
  Variable listeners_{"LISTEN_FDS"};
  Variable notify_{"NOTIFY_SOCKET"};
  Variable watchdog_{"WATCHDOG_USEC"};
};

/// A membership, its loop, and its master.
class MembershipFixture {
 public:
  explicit MembershipFixture(MembershipOptions options = {})
      : MembershipFixture(WorkerEnvironment(), std::move(options)) {}
  MembershipFixture(WorkerEnvironment&& environment, MembershipOptions options)
      : master(environment.take_master_end()), member(std::in_place, loop, std::move(options)) {
    expect(protocol::Kind::hello);
  }

  /// Runs the loop until the condition holds; fails the test when it does not in time.
  void run_until(const std::function<bool()>& condition) {
    const Deadline deadline;
    bool holds = condition();
    while (!holds && !deadline.has_passed()) {
      loop.restart();
      loop.run_one_for(std::chrono::milliseconds(2));
      holds = condition();
    }
    REQUIRE(holds);
  }

  /// Runs the loop until nothing keeps it running; fails the test when something does for too long.
  void run_to_end() {
    loop.restart();
    loop.run_for(patience);
    REQUIRE(loop.stopped());
  }

  /// The program's next message to its master.
  boost::json::value heard() {
    run_until([this] {
      for (Frame& frame : master.receive().frames) heard_.push_back(std::move(frame.value));
      return !heard_.empty();
    });
    boost::json::value first = std::move(heard_.front());
    heard_.erase(heard_.begin());
    return first;
  }
  void expect(protocol::Kind kind) { CHECK(protocol::name(protocol::decode(heard()).kind) == protocol::name(kind)); }
  bool has_said_more() {
    loop.poll();
    return !heard_.empty() || !master.receive().frames.empty();
  }

  boost::asio::io_context loop;
  Channel master;
  std::optional<Membership> member;

 private:
  std::vector<boost::json::value> heard_;
};

/// What an operation has come to.
template <class Value>
struct OperationResult {
  bool is_here = false;
  boost::system::error_code error;
  Value value;

  auto handler() {
    return [this](boost::system::error_code its_error, Value its_value) {
      CHECK_FALSE(is_here);
      is_here = true;
      error = its_error;
      value = std::move(its_value);
    };
  }
};

/// How a wait for the end of service has come out.
struct DrainResult {
  bool is_here = false;
  boost::system::error_code error;

  auto handler() {
    return [this](boost::system::error_code its_error) {
      is_here = true;
      error = its_error;
    };
  }
};

/// Asks for a value, and how it ends.
struct AskedCount : OperationResult<boost::json::object> {
  void ask(Membership& member) { member.async_ask({{"baton", "get"}, {"key", "count"}}, handler()); }
};

}  // namespace baton::test
