// Unit tests of the fair acceptor for Asio programs, and of the turnstile in it.
#include "worker/fair_acceptor.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "master/listeners/listener.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/unit/expect.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

Fd listener_at(const std::string& address = "127.0.0.1:0") {
  return std::move(listen_on(parse_address(address, 0), 128).socket);
}

Fd connect_to(const Fd& listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  check(::getsockname(listener.get(), generic, &size), "getsockname");
  Fd client{check(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  check(::connect(client.get(), generic, size), "connect");
  return client;
}

/// Runs the loop until the condition holds; false when it does not in time.
bool run_until(asio::io_context& loop, const std::function<bool()>& condition) {
  const Deadline deadline;
  loop.restart();
  while (!condition() && !deadline.has_passed()) loop.run_one_for(std::chrono::milliseconds(deadline.left_ms()));
  return condition();
}

void run_for(asio::io_context& loop, std::chrono::milliseconds time) {
  loop.restart();
  loop.run_for(time);
}

/// For what only /proc tells.
bool becomes_true(const std::function<bool()>& condition) {
  const Deadline deadline;
  while (!condition() && !deadline.has_passed()) ::poll(nullptr, 0, 2);
  return condition();
}

/// In /proc/self/task/TID/stat, behind the name, which may hold blanks.
char state_of(const std::filesystem::path& task) {
  std::ostringstream text;
  text << std::ifstream(task / "stat").rdbuf();
  const std::string stat = text.str();
  const auto end = stat.rfind(')');
  return end + 2 < stat.size() ? stat[end + 2] : 'X';
}

/// All threads but this one sleep: who is in line waits there, and not on its way.
bool are_others_asleep() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::all_of(begin(tasks), end(tasks), [self = std::to_string(::gettid())](const auto& task) {
    return task.path().filename() == self || state_of(task.path()) == 'S';
  });
}

/// What an async_accept has come to.
struct Result {
  bool is_here = false;
  error_code error;
  std::optional<tcp::socket> socket;

  auto handler() {
    return [this](error_code its_error, tcp::socket its_socket) {
      CHECK_FALSE(is_here);
      is_here = true;
      error = its_error;
      if (!its_error) socket = std::move(its_socket);
    };
  }
};

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

TEST_CASE("a fair acceptor hands a connection to a callback, not before async_accept has returned") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  FairAcceptor<> acceptor(loop, listener.duplicate());
  const Fd client = connect_to(listener);
  Result result;
  acceptor.async_accept(result.handler());
  CHECK_FALSE(result.is_here);
  REQUIRE(run_until(loop, [&] { return result.is_here; }));
  REQUIRE_FALSE(result.error);
  CHECK(result.socket->remote_endpoint().port() != 0);
  CHECK((::fcntl(result.socket->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a fair acceptor completes on the executor of its handler") {
  const Fd listener = listener_at();
  asio::io_context loop;
  auto strand = asio::make_strand(loop);
  FairAcceptor<> acceptor(loop, listener.duplicate());
  const Fd client = connect_to(listener);
  std::optional<bool> is_there;
  acceptor.async_accept(
      asio::bind_executor(strand, [&](error_code, tcp::socket) { is_there = strand.running_in_this_thread(); }));
  REQUIRE(run_until(loop, [&] { return is_there.has_value(); }));
  CHECK(*is_there);
}

TEST_CASE("a fair acceptor in a coroutine, with a future and with a tuple") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  FairAcceptor<> acceptor(loop, listener.duplicate());
  std::vector<tcp::socket> taken;
  bool has_ended = false;
  co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        taken.push_back(co_await acceptor.async_accept(asio::use_awaitable));
        for (;;) {
          auto [error, socket] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
          if (error) break;
          taken.push_back(std::move(socket));
        }
        has_ended = true;
      },
      asio::detached);
  const Fd first = connect_to(listener);
  const Fd second = connect_to(listener);
  REQUIRE(run_until(loop, [&] { return taken.size() == 2; }));
  acceptor.cancel();
  REQUIRE(run_until(loop, [&] { return has_ended; }));
  auto future = acceptor.async_accept(asio::use_future);
  const Fd third = connect_to(listener);
  REQUIRE(run_until(loop, [&] { return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }));
  CHECK(future.get().is_open());
}

TEST_CASE("a fair acceptor of a Unix listener, by its own protocol or by whichever it is") {
  const NoLeak no_leak;
  const Fd listener = listener_at("unix:@baton-unit-fair");
  asio::io_context loop;
  FairAcceptor<asio::local::stream_protocol> special(loop, listener.duplicate());
  FairAcceptor<asio::generic::stream_protocol> generic(loop, listener.duplicate());
  int taken = 0;
  special.async_accept([&](error_code error, const auto&) { taken += error ? 0 : 1; });
  generic.async_accept([&](error_code error, const auto&) { taken += error ? 0 : 1; });
  const Fd first = connect_to(listener);
  const Fd second = connect_to(listener);
  CHECK(run_until(loop, [&] { return taken == 2; }));
  CHECK_THROWS_AS(FairAcceptor<>(loop, listener.duplicate()), std::system_error);
}

TEST_CASE("a cancelled accept has taken nothing, and the next one works") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  FairAcceptor<> acceptor(loop, listener.duplicate());
  asio::cancellation_signal signal;
  Result cancelled;
  acceptor.async_accept(asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
  const bool is_late = GENERATE(false, true);
  const bool is_by_slot = GENERATE(false, true);
  CAPTURE(is_late, is_by_slot);
  run_for(loop, std::chrono::milliseconds(1));
  std::optional<Fd> client;
  if (is_late) {
    const std::size_t in_line = watches();
    client = connect_to(listener);
    REQUIRE(becomes_true([&] { return watches() == in_line - 1; }));  // it has been called
  }
  if (is_by_slot)
    signal.emit(asio::cancellation_type::terminal);
  else
    acceptor.cancel();
  REQUIRE(run_until(loop, [&] { return cancelled.is_here; }));
  CHECK(cancelled.error == asio::error::operation_aborted);

  Result next;
  if (!client) client = connect_to(listener);
  acceptor.async_accept(next.handler());
  REQUIRE(run_until(loop, [&] { return next.is_here; }));
  CHECK_FALSE(next.error);
}

TEST_CASE("a fair acceptor that goes or is closed completes what is outstanding") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  auto acceptor = std::make_unique<FairAcceptor<>>(loop, listener.duplicate());
  Result first;
  Result second;
  acceptor->async_accept(first.handler());
  acceptor->async_accept(second.handler());
  SECTION("goes") {
    acceptor.reset();
  }
  SECTION("closed") {
    acceptor->close();
    acceptor->close();
    acceptor->cancel();
    CHECK_FALSE(acceptor->is_open());
  }
  REQUIRE(run_until(loop, [&] { return first.is_here && second.is_here; }));
  CHECK(first.error == asio::error::operation_aborted);
  CHECK(second.error == asio::error::operation_aborted);
  if (!acceptor) return;
  Result third;
  acceptor->async_accept(third.handler());
  REQUIRE(run_until(loop, [&] { return third.is_here; }));
  CHECK(third.error == asio::error::bad_descriptor);
}

TEST_CASE("a loop that goes takes what is outstanding along") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  auto loop = std::make_unique<asio::io_context>();
  std::optional<FairAcceptor<>> acceptor(std::in_place, *loop, listener.duplicate());
  Result result;
  acceptor->async_accept(result.handler());
  run_for(*loop, std::chrono::milliseconds(1));
  acceptor.reset();
  loop.reset();
  CHECK_FALSE(result.is_here);
}

TEST_CASE("a fair acceptor can be moved with an accept outstanding") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  FairAcceptor<> from(loop, listener.duplicate());
  Result result;
  from.async_accept(result.handler());
  FairAcceptor<> to(std::move(from));
  const Fd client = connect_to(listener);
  REQUIRE(run_until(loop, [&] { return result.is_here; }));
  CHECK_FALSE(result.error);
}

TEST_CASE("several accepts at once take a connection each") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  FairAcceptor<> acceptor(loop, listener.duplicate());
  int taken = 0;
  for (int i = 0; i < 5; ++i) acceptor.async_accept([&](error_code error, const auto&) { taken += error ? 0 : 1; });
  std::vector<Fd> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(connect_to(listener));
  REQUIRE(run_until(loop, [&] { return taken == 5; }));
  CHECK_FALSE(is_any_watch_ready());  // the sixth rings nothing
}

TEST_CASE("two fair acceptors take turns, and one without an accept outstanding takes none") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  struct Station {
    FairAcceptor<> acceptor;
    int taken = 0;
    int most;
    void accept() {
      acceptor.async_accept([this](error_code error, const auto&) {
        if (!error && ++taken < most) accept();
      });
    }
  };
  Station limited{FairAcceptor<>(loop, listener.duplicate()), 0, 10};
  Station free{FairAcceptor<>(loop, listener.duplicate()), 0, 100};
  limited.accept();
  free.accept();
  for (int i = 1; i <= 20; ++i) {
    REQUIRE(becomes_true(are_others_asleep));
    const Fd client = connect_to(listener);
    REQUIRE(run_until(loop, [&] { return limited.taken + free.taken == i; }));
  }
  CHECK(limited.taken >= 8);  // a look can take one out of turn, on a machine where that takes 70 ms
  for (int i = limited.taken + free.taken + 1; i <= 40; ++i) {
    const Fd client = connect_to(listener);
    REQUIRE(run_until(loop, [&] { return limited.taken + free.taken == i; }));
  }
  CHECK(limited.taken == 10);
  CHECK(free.taken == 30);
  free.acceptor.close();
  loop.restart();
  loop.run();
}

TEST_CASE("out of descriptors: reported to the caller, who may try again at once, without spinning") {
  const Fd listener = listener_at();
  asio::io_context loop;
  FairAcceptor<> acceptor(loop, listener.duplicate());
  int taken = 0;
  std::vector<error_code> errors;
  std::function<void()> accept = [&] {
    acceptor.async_accept([&](error_code error, const auto&) {
      if (error)
        errors.push_back(error);
      else
        ++taken;
      if (error != asio::error::operation_aborted) accept();
    });
  };
  accept();
  const Fd first = connect_to(listener);
  REQUIRE(run_until(loop, [&] { return taken == 1; }));  // once with room: UBSan opens a pipe at the first handler
  std::vector<Fd> clients;
  clients.push_back(connect_to(listener));
  {
    const DescriptorLimit limit(0);
    run_for(loop, std::chrono::milliseconds(500));
  }
  CHECK(taken == 1);
  REQUIRE_FALSE(errors.empty());
  CHECK(errors.size() <= 9);
  CHECK(errors.front() == error_code(EMFILE, boost::system::system_category()));
  CHECK(run_until(loop, [&] { return taken == 2; }));
  acceptor.close();
  run_for(loop, std::chrono::milliseconds(1));
}

TEST_CASE("a listener that another holder has shut down: reported, without spinning") {
  const auto [address, how] = GENERATE(values<std::pair<std::string, int>>({{"127.0.0.1:0", SHUT_RDWR},
                                                                            {"127.0.0.1:0", SHUT_RD},
                                                                            {"unix:@baton-unit-fair-down", SHUT_RDWR},
                                                                            {"unix:@baton-unit-fair-down", SHUT_RD}}));
  CAPTURE(address, how);
  const Fd listener = listener_at(address);
  asio::io_context loop;
  FairAcceptor<asio::generic::stream_protocol> acceptor(loop, listener.duplicate());
  std::vector<error_code> errors;
  std::function<void()> accept = [&] {
    acceptor.async_accept([&](error_code error, const auto&) {
      errors.push_back(error);
      if (error != asio::error::operation_aborted) accept();
    });
  };
  accept();
  run_for(loop, std::chrono::milliseconds(1));
  check(::shutdown(listener.get(), how), "shutdown");
  REQUIRE(run_until(loop, [&] { return !errors.empty(); }));
  CHECK(errors.front() == error_code(EINVAL, boost::system::system_category()));
  run_for(loop, std::chrono::milliseconds(300));
  CHECK(errors.size() <= 6);
  acceptor.close();
  run_for(loop, std::chrono::milliseconds(1));
}

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
  CHECK(is_rung(asleep, std::chrono::seconds(2)));  // 70 ms, and what a loaded machine adds
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
