// Unit tests of the fair acceptor out of descriptors, and with a listener that another has shut down.
#include "worker/fair_acceptor.hpp"

#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/sockets.hpp"
#include "tests/unit/worker/accepting/fair_acceptor_fixture.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

}  // namespace

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

}  // namespace baton::test
