// Unit tests of the dispatcher: who gets what was accepted, and what waits where. Listeners and clients are real; each
// worker's channel is a list of what was sent.
#include "master/dispatch/dispatcher.hpp"

#include <boost/asio/io_context.hpp>
#include <map>
#include <set>
#include <vector>

#include "master/listeners/listener_alarm.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/system/descriptors.hpp"

namespace baton::test {
namespace {

using protocol::Kind;

constexpr std::size_t room = 32;  // of a worker that takes many

struct DispatcherFixture {
  std::shared_ptr<Vault> listener() {
    const NamedAddress any{"server", TcpAddress{boost::asio::ip::make_address("127.0.0.1"), 0}};
    return std::make_shared<Vault>(any, 128, alarm);
  }

  /// How many connections each message brought is in `sent`.
  void add(int number, std::vector<const Vault*> served) {
    dispatcher.add(key(number), std::move(served), true, [this, number](auto, std::span<const int> descriptors) {
      if (full.contains(number)) return Channel::Sent::full;
      sent[number].push_back(descriptors.size());
      return Channel::Sent::whole;
    });
  }

  void take(int number, std::size_t count) {
    CHECK(dispatcher.hear(key(number), {.kind = Kind::taken, .detail = {}, .value = nullptr, .number = count}));
    run();
  }

  void connect(const std::shared_ptr<Vault>& to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) clients.emplace_back(to->address());
    run();
  }

  /// Whatever there is to do now.
  void run() {
    while (context.poll() > 0) context.restart();
    context.restart();
  }

  std::vector<std::size_t> take_sent(int number) { return std::exchange(sent[number], {}); }
  std::size_t in_flight(int number) { return dispatcher.load(key(number)).in_flight; }
  static Dispatcher::Key key(int number) { return {static_cast<unsigned>(number), number}; }

  ListenerAlarm alarm;
  boost::asio::io_context context;
  std::map<int, std::vector<std::size_t>> sent;
  std::set<int> full;  ///< whose channel has no room
  std::vector<Connection> clients;
  Dispatcher dispatcher{context.get_executor(), Policy::roundrobin};
};

using Batches = std::vector<std::size_t>;

}  // namespace

TEST_CASE("what is queued goes out in one message to each worker") {
  const NoLeak no_leak;
  DispatcherFixture fixture;
  const auto listener = fixture.listener();
  fixture.connect(listener, 10);
  fixture.add(1, {listener.get()});
  fixture.add(2, {listener.get()});
  fixture.dispatcher.open(listener);
  fixture.run();
  CHECK(fixture.take_sent(1) == Batches{5});
  CHECK(fixture.take_sent(2) == Batches{5});
}

TEST_CASE("nothing is accepted beyond what the workers may leave unacknowledged") {
  const NoLeak no_leak;
  DispatcherFixture fixture;
  const auto listener = fixture.listener();
  fixture.add(1, {listener.get()});
  fixture.dispatcher.open(listener);
  fixture.run();
  const std::size_t before = open_descriptors().size();
  fixture.connect(listener, 100);
  CHECK(fixture.in_flight(1) == room);
  CHECK(open_descriptors().size() == before + 100 + room);  // the clients are this process's, too
  const Batches first = fixture.take_sent(1);
  fixture.take(1, first.front());
  CHECK(fixture.in_flight(1) == room);
  CHECK(fixture.take_sent(1) == Batches{first.front()});
}

TEST_CASE("what a worker did not acknowledge goes to another, and before anything newer") {
  const NoLeak no_leak;
  DispatcherFixture fixture;
  const auto listener = fixture.listener();
  fixture.add(1, {listener.get()});
  fixture.dispatcher.open(listener);
  fixture.connect(listener, room + 3);
  CHECK(fixture.dispatcher.remove(DispatcherFixture::key(1)) == room);
  fixture.run();
  fixture.add(2, {listener.get()});
  fixture.run();
  CHECK(fixture.take_sent(2) == Batches{room});
  fixture.take(2, room);
  CHECK(fixture.take_sent(2) == Batches{3});
}

TEST_CASE("a worker whose channel is full is passed over until it has room") {
  const NoLeak no_leak;
  DispatcherFixture fixture;
  const auto listener = fixture.listener();
  fixture.add(1, {listener.get()});
  fixture.add(2, {listener.get()});
  fixture.dispatcher.open(listener);
  fixture.full = {1};
  fixture.connect(listener, 6);
  CHECK(fixture.in_flight(1) == 0);
  CHECK(fixture.in_flight(2) == 6);
  fixture.full = {};
  fixture.dispatcher.on_writable(DispatcherFixture::key(1));
  fixture.connect(listener, 2);
  CHECK(fixture.in_flight(1) == 1);
}

TEST_CASE("what nobody can have of one listener keeps no other listener waiting, and is anybody's when that one ends") {
  const NoLeak no_leak;
  DispatcherFixture fixture;
  const auto old_one = fixture.listener();
  const auto new_one = fixture.listener();
  fixture.add(1, {old_one.get()});
  fixture.add(2, {new_one.get()});
  fixture.dispatcher.open(old_one);
  fixture.dispatcher.open(new_one);
  fixture.connect(old_one, 2);
  fixture.dispatcher.remove(DispatcherFixture::key(1));
  fixture.run();
  for (std::size_t i = 1; i <= 3; ++i) {
    fixture.connect(new_one, 1);
    CHECK(fixture.in_flight(2) == i);
  }
  old_one->empty();
  fixture.run();
  CHECK(fixture.in_flight(2) == 5);
}

TEST_CASE("a worker that leaves is let go once it has acknowledged what it was given") {
  const NoLeak no_leak;
  DispatcherFixture fixture;
  const auto listener = fixture.listener();
  fixture.add(1, {listener.get()});
  fixture.add(2, {listener.get()});
  fixture.dispatcher.open(listener);
  fixture.connect(listener, 4);
  bool may_go = false;
  fixture.dispatcher.retire(DispatcherFixture::key(1), [&] { may_go = true; });
  fixture.connect(listener, 2);
  CHECK_FALSE(may_go);
  CHECK(fixture.in_flight(1) == 2);
  for (const std::size_t each : fixture.take_sent(1)) fixture.take(1, each);
  CHECK(may_go);
  CHECK(fixture.in_flight(2) == 4);
}

}  // namespace baton::test
