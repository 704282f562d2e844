// Unit tests of the fair acceptor for Asio programs: how it completes, is cancelled, and takes turns.
#include "worker/fair_acceptor.hpp"

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
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/sockets.hpp"
#include "tests/unit/worker/accepting/fair_acceptor_fixture.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

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

}  // namespace

TEST_CASE("a fair acceptor hands a connection to a callback, not before async_accept has returned") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  asio::io_context loop;
  FairAcceptor<> acceptor(loop, listener.duplicate());
  const Fd client = connect_to(listener);
  AcceptResult result;
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
  AcceptResult cancelled;
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

  AcceptResult next;
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
  AcceptResult first;
  AcceptResult second;
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
  AcceptResult third;
  acceptor->async_accept(third.handler());
  REQUIRE(run_until(loop, [&] { return third.is_here; }));
  CHECK(third.error == asio::error::bad_descriptor);
}

TEST_CASE("a loop that goes takes what is outstanding along") {
  const NoLeak no_leak;
  const Fd listener = listener_at();
  auto loop = std::make_unique<asio::io_context>();
  std::optional<FairAcceptor<>> acceptor(std::in_place, *loop, listener.duplicate());
  AcceptResult result;
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
  AcceptResult result;
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
  struct Counting {
    FairAcceptor<> acceptor;
    int taken = 0;
    int most;
    void accept() {
      acceptor.async_accept([this](error_code error, const auto&) {
        if (!error && ++taken < most) accept();
      });
    }
  };
  Counting limited{FairAcceptor<>(loop, listener.duplicate()), 0, 10};
  Counting free{FairAcceptor<>(loop, listener.duplicate()), 0, 100};
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

}  // namespace baton::test
