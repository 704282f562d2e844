// Unit tests of accepting from a listener that others accept from too.
#include "worker/accept.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <memory>
#include <vector>

#include "master/listeners/listener.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/sockets.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

/// An acceptor as a worker has it, without the worker.
class AcceptorFixture {
 public:
  explicit AcceptorFixture(Fd listener)
      : acceptor(std::make_unique<Acceptor>(
            poller, counters, turns, std::move(listener),
            [this](Fd connection) { taken.push_back(std::move(connection)); },
            [this](int error) {
              errors.push_back(error);
              acceptor->pause();
            })) {}

  void run(int rounds = 20) {
    for (int i = 0; i < rounds; ++i) poller.wait(0);
  }

  Counters counters;
  Turns turns{counters, true};
  Poller poller;
  std::vector<Fd> taken;
  std::vector<int> errors;
  std::unique_ptr<Acceptor> acceptor;
};

}  // namespace

TEST_CASE("two acceptors of one listener take each connection once") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture left(listener.duplicate());
  AcceptorFixture right(listener.duplicate());
  std::vector<Fd> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(connect_to(listener));
    AcceptorFixture& first = i % 2 == 0 ? left : right;
    AcceptorFixture& second = i % 2 == 0 ? right : left;
    first.run(3);
    second.run(3);
  }
  CHECK(left.taken.size() == 10);
  CHECK(right.taken.size() == 10);
}

TEST_CASE("a glance takes one connection that nobody was woken for, and none while paused") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  fixture.acceptor->glance();
  CHECK(fixture.taken.empty());
  const std::vector<Fd> clients = [&] {
    std::vector<Fd> made;
    made.push_back(connect_to(listener));
    made.push_back(connect_to(listener));
    return made;
  }();
  fixture.acceptor->glance();
  CHECK(fixture.taken.size() == 1);
  fixture.acceptor->pause();
  fixture.acceptor->glance();
  CHECK(fixture.taken.size() == 1);
}

TEST_CASE("one turn takes one connection") {
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  std::vector<Fd> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect_to(listener));
  for (std::size_t turn = 1; turn <= 3; ++turn) {
    fixture.poller.wait(0);
    CHECK(fixture.taken.size() == turn);
  }
}

TEST_CASE("one that is ahead leaves the line even where nothing is queued, for others have been woken") {
  const Fd listener = listener_at();
  Scoreboard board(2);
  AcceptorFixture eager(listener.duplicate());
  AcceptorFixture starved(listener.duplicate());
  for (AcceptorFixture* each : {&eager, &starved}) {
    REQUIRE(each->counters.attach(board.memory(), board.take().value()).empty());
    each->turns.join();
  }
  std::vector<Fd> clients;
  // Connections come one by one, and only one of the two gets to run.
  for (int i = 0; i < 20; ++i) {
    clients.push_back(connect_to(listener));
    eager.run();
  }
  CHECK(eager.turns.is_out());
  CHECK(eager.taken.size() <= 3);
  starved.run();
  CHECK(starved.taken.size() >= eager.taken.size());
}

TEST_CASE("an accepted connection is non-blocking, closed on exec and without delay") {
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  const Fd client = connect_to(listener);
  fixture.run();
  REQUIRE(fixture.taken.size() == 1);
  const int accepted = fixture.taken[0].get();
  CHECK((::fcntl(accepted, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((::fcntl(accepted, F_GETFD) & FD_CLOEXEC) != 0);
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  check(::getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), "getsockopt");
  CHECK(no_delay != 0);
}

TEST_CASE("a listener that another process made blocking again blocks nobody") {
  const Fd listener = listener_at();
  AcceptorFixture left(listener.duplicate());
  AcceptorFixture right(listener.duplicate());
  const Fd client = connect_to(listener);
  left.run(2);
  right.run(2);
  CHECK(left.taken.size() + right.taken.size() == 1);
  CHECK((::fcntl(listener.get(), F_GETFL) & O_NONBLOCK) != 0);
}

TEST_CASE("a paused acceptor leaves connections to the other, and takes its turn again when resumed") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture left(listener.duplicate());
  AcceptorFixture right(listener.duplicate());
  left.acceptor->pause();
  left.acceptor->pause();
  const Fd first = connect_to(listener);
  left.run();
  CHECK(left.taken.empty());
  right.run();
  CHECK(right.taken.size() == 1);
  const Fd second = connect_to(listener);
  left.acceptor->resume();
  left.acceptor->resume();
  left.run();
  CHECK(left.taken.size() == 1);
}

TEST_CASE("a sweep takes everything queued") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  std::vector<Fd> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(connect_to(listener));
  fixture.acceptor->sweep();
  CHECK(fixture.taken.size() == 50);
  fixture.acceptor->sweep();
  CHECK(fixture.taken.size() == 50);
}

TEST_CASE("out of descriptors: told of once, no spinning, and taken up again with room") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  const Fd served = connect_to(listener);
  fixture.run();  // once with room: UBSan opens a pipe to look at a handler that it meets for the first time
  fixture.taken.clear();
  const Fd client = connect_to(listener);
  {
    const DescriptorLimit limit(0);
    fixture.run(100);
  }
  CHECK(fixture.errors == std::vector<int>{EMFILE});
  CHECK(fixture.taken.empty());
  CHECK_FALSE(is_any_watch_ready());
  fixture.run();
  CHECK(fixture.taken.empty());  // paused until told
  fixture.acceptor->resume();
  fixture.run();
  CHECK(fixture.taken.size() == 1);
  CHECK(fixture.errors.size() == 1);
}

TEST_CASE("out of descriptors in a sweep: it ends") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  std::vector<Fd> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(connect_to(listener));
  {
    const DescriptorLimit limit(2);
    fixture.taken.reserve(8);
    fixture.acceptor->sweep();
  }
  CHECK(fixture.taken.size() == 2);
  CHECK(fixture.errors == std::vector<int>{EMFILE});
}

TEST_CASE("a listener that another holder shut down listens again") {
  const NoLeak no_leak;
  const int how = GENERATE(as<int>(), SHUT_RDWR, SHUT_RD);
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  std::string told;
  {
    const CapturedErrors errors;
    check(::shutdown(listener.get(), how), "shutdown");
    fixture.run(100);
    told = errors.text();
  }
  CHECK(count_of(told, "listening again") == 1);
  const Fd client = connect_to(listener);
  fixture.run();
  CHECK(fixture.taken.size() == 1);
}

TEST_CASE("a Unix listener that another holder shut down is given up: listen(2) does not bring it back") {
  const NoLeak no_leak;
  const int how = GENERATE(as<int>(), SHUT_RDWR, SHUT_RD);
  CAPTURE(how);
  const Fd listener = std::move(listen_on(parse_address("unix:@baton-unit-shut-down", 0), 128).socket);
  AcceptorFixture fixture(listener.duplicate());
  std::string told;
  {
    const CapturedErrors errors;
    check(::shutdown(listener.get(), how), "shutdown");
    fixture.run(100);
    told = errors.text();
  }
  CHECK(count_of(told, "\n") <= 2);  // not a line per turn, for ever
  CHECK(contains(told, "given up"));
  CHECK_FALSE(is_any_watch_ready());
}

TEST_CASE("an acceptor that has gone is woken no more, though others hold the listener") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture leaving(listener.duplicate());
  AcceptorFixture staying(listener.duplicate());
  leaving.acceptor->sweep();
  leaving.acceptor.reset();
  REQUIRE(watches() == 1);  // else the next connection would run an acceptor that is no more
  const Fd client = connect_to(listener);
  leaving.run();
  staying.run();
  CHECK(staying.taken.size() == 1);
}

TEST_CASE("a paused acceptor can go, too") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  AcceptorFixture fixture(listener.duplicate());
  fixture.acceptor->pause();
  fixture.acceptor.reset();
  CHECK(watches() == 0);
}

}  // namespace baton::test
