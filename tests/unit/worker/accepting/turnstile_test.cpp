// Unit tests of the turnstile in the fair acceptor: whom it calls, and what becomes of a turn that is not taken.
#include "worker/fair_acceptor.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/catch/deadline.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/sockets.hpp"
#include "tests/support/system/starvation.hpp"
#include "tests/unit/worker/accepting/fair_acceptor_fixture.hpp"

namespace baton::test {
namespace {

bool is_rung(const Turnstile& turnstile, std::chrono::milliseconds time) {
  pollfd bell{turnstile.bell().get(), POLLIN, 0};
  return ::poll(&bell, 1, static_cast<int>(time.count())) == 1;
}

/// Waits for the bell, and accepts, as often as it rings for nothing.
Turnstile::Accepted accept_on(Turnstile& turnstile) {
  for (;;) {
    REQUIRE(is_rung(turnstile, patience));
    if (Turnstile::Accepted accepted = turnstile.accept(); accepted.error != EAGAIN) return accepted;
  }
}

}  // namespace

TEST_CASE("a turn whose connection another has taken blocks nobody, whatever the listener's flags are") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  Turnstile turnstile(listener.duplicate());
  turnstile.enter();
  const Fd client = connect_to(listener);
  REQUIRE(is_rung(turnstile, patience));
  check(::fcntl(listener.get(), F_SETFL, ::fcntl(listener.get(), F_GETFL) & ~O_NONBLOCK), "fcntl");
  const Fd stolen{check(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept4")};
  CHECK(turnstile.accept().error == EAGAIN);
  const Fd other = connect_to(listener);
  CHECK(accept_on(turnstile).connection.is_open());
}

TEST_CASE("a turn that is not taken comes to another") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  Turnstile late(listener.duplicate());
  late.enter();
  const Fd client = connect_to(listener);
  REQUIRE(is_rung(late, patience));
  Turnstile other(listener.duplicate());
  const bool is_in_line_before = GENERATE(false, true);
  const Fd second = is_in_line_before ? Fd{} : connect_to(listener);
  other.enter();
  CHECK(accept_on(other).connection.is_open());
  CHECK((late.accept().error == EAGAIN) == is_in_line_before);
}

TEST_CASE("a turn that is not taken comes to another that is long asleep") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  Turnstile late(listener.duplicate());
  Turnstile asleep(listener.duplicate());
  late.enter();
  REQUIRE(becomes_true([] { return watches() == 3; }));  // a nudge each, and the listener
  asleep.enter();
  REQUIRE(becomes_true([] { return watches() == 6; }));  // and an alarm each
  const Fd client = connect_to(listener);
  REQUIRE(is_rung(late, patience));
  // 70 ms, and what a virtual machine's host takes away.
  ChargedTime wait({});
  while (!is_rung(asleep, std::chrono::milliseconds(5)) && wait.read().charged < std::chrono::seconds(2)) {
  }
  CHECK(is_rung(asleep, std::chrono::milliseconds(0)));
  CHECK(asleep.accept().connection.is_open());
}

TEST_CASE("whoever wants nothing is not asked, not even by what waits") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  Turnstile turnstile(listener.duplicate());
  turnstile.enter();
  turnstile.leave();
  const Fd client = connect_to(listener);
  CHECK_FALSE(is_rung(turnstile, std::chrono::milliseconds(200)));
  turnstile.enter();
  CHECK(accept_on(turnstile).connection.is_open());
}

TEST_CASE("a turnstile's thread takes none of the program's signals") {
  const Fd listener = listener_at();
  const Turnstile turnstile(listener.duplicate());
  const auto is_deaf = [] {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream status(task.path() / "status");
      for (std::string line; std::getline(status, line);)
        if (line == "SigBlk:\tfffffffe7ffbfeff") return true;  // all that can be blocked, but the C library's own two
    }
    return false;
  };
  CHECK(becomes_true(is_deaf));
}

}  // namespace baton::test
