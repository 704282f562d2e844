// Unit tests of the fair acceptor for Asio programs.
#pragma once

#include <poll.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/deadline.hpp"
#include "worker/fair_acceptor.hpp"

namespace baton::test {

/// Runs the loop until the condition holds; false when it does not in time.
inline bool run_until(boost::asio::io_context& loop, const std::function<bool()>& condition) {
  const Deadline deadline;
  loop.restart();
  while (!condition() && !deadline.has_passed()) loop.run_one_for(std::chrono::milliseconds(deadline.left_ms()));
  return condition();
}

inline void run_for(boost::asio::io_context& loop, std::chrono::milliseconds time) {
  loop.restart();
  loop.run_for(time);
}

/// For what only /proc tells.
inline bool becomes_true(const std::function<bool()>& condition) {
  const Deadline deadline;
  while (!condition() && !deadline.has_passed()) ::poll(nullptr, 0, 2);
  return condition();
}

/// What an async_accept has come to.
struct AcceptResult {
  bool is_here = false;
  boost::system::error_code error;
  std::optional<boost::asio::ip::tcp::socket> socket;

  auto handler() {
    return [this](boost::system::error_code its_error, boost::asio::ip::tcp::socket its_socket) {
      CHECK_FALSE(is_here);
      is_here = true;
      error = its_error;
      if (!its_error) socket = std::move(its_socket);
    };
  }
};

}  // namespace baton::test
