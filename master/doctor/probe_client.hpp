// Doctor. One client of the command under examination: a connection, and HTTP/1.1 requests on it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace baton::doctor {

/// How a request ended.
enum class ProbeResult : std::uint8_t {
  answered,
  foreign,  ///< by something that is not HTTP, or by an orderly end
  cut_off,  ///< the connection ended within the answer, or before it
  reset,
  refused,  ///< nobody listens
  silent,   ///< nothing came in time
};

struct Probe {
  ProbeResult result = ProbeResult::silent;
  unsigned status = 0;
  std::chrono::microseconds took{0};  ///< from the request, or the connect where there was none before
};

class ProbeClient {
 public:
  static constexpr std::chrono::milliseconds usual_patience{5000};

  ProbeClient(const boost::asio::any_io_executor& executor, boost::asio::ip::tcp::endpoint place, std::string path,
              std::chrono::milliseconds patience = usual_patience);

  /// Whether somebody listens.
  boost::asio::awaitable<bool> connect();
  /// Sends a request's first byte, so that whoever is told of no silent client hears of this one.
  boost::asio::awaitable<void> begin_to_ask();
  /// Connects first where it has not been done. `stays`: the connection is not asked to end.
  boost::asio::awaitable<Probe> ask(bool stays);

  [[nodiscard]] bool is_open() { return stream_.socket().is_open(); }
  /// Of the server's end of the connection; nothing as long as nobody has accepted it, or where the kernel does not
  /// say.
  [[nodiscard]] std::optional<std::uint64_t> accepted_inode();

 private:
  boost::beast::tcp_stream stream_;
  boost::asio::ip::tcp::endpoint place_;
  std::string path_;
  std::chrono::milliseconds patience_;
  boost::beast::flat_buffer buffer_;
  std::size_t sent_ = 0;  ///< of the next request
};

}  // namespace baton::doctor
