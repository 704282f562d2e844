// Doctor. A client that wants to know how exactly it was let down.
#include "master/doctor/probe_client.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

#include "master/system/sock_diag.hpp"

namespace baton::doctor {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint64_t most_body = std::uint64_t{64} << 20;

ProbeResult result_of(const error_code& error, bool has_begun) {
  if (!error) return ProbeResult::answered;
  if (error == boost::beast::error::timeout) return ProbeResult::silent;
  if (error == http::error::end_of_stream || error == http::error::partial_message || error == asio::error::eof)
    return ProbeResult::cut_off;
  const bool is_of_http = error.category() == http::make_error_code(http::error::bad_version).category();
  if (is_of_http && !has_begun) return ProbeResult::foreign;
  return is_of_http ? ProbeResult::cut_off : ProbeResult::reset;
}

}  // namespace

ProbeClient::ProbeClient(const asio::any_io_executor& executor, asio::ip::tcp::endpoint place, std::string path,
                         std::chrono::milliseconds patience)
    : stream_(executor), place_(std::move(place)), path_(std::move(path)), patience_(patience) {}

asio::awaitable<bool> ProbeClient::connect() {
  error_code error;
  stream_.expires_after(patience_);
  co_await stream_.async_connect(place_, asio::redirect_error(asio::use_awaitable, error));
  if (error) stream_.close();
  co_return !error;
}

std::optional<std::uint64_t> ProbeClient::accepted_inode() {
  error_code error;
  const auto client = stream_.socket().local_endpoint(error);
  if (error) return std::nullopt;
  const auto server = stream_.socket().remote_endpoint(error);
  if (error) return std::nullopt;
  return tcp_inode(server, client);
}

asio::awaitable<void> ProbeClient::begin_to_ask() {
  error_code ignored;  // ask() meets it again
  sent_ = co_await stream_.async_write_some(asio::buffer("G", 1), asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<Probe> ProbeClient::ask(bool stays) {
  const auto began = std::chrono::steady_clock::now();
  Probe probe;
  if (!is_open()) {
    const bool is_heard = co_await connect();
    if (!is_heard) {
      probe.result = ProbeResult::refused;
      co_return probe;
    }
  }
  std::string request = "GET " + path_ + " HTTP/1.1\r\nHost: " + place_.address().to_string() +
                        "\r\nUser-Agent: baton-doctor\r\nAccept: */*\r\n" +
                        (stays ? "\r\n" : "Connection: close\r\n\r\n");
  request.erase(0, std::exchange(sent_, 0));
  error_code error;
  stream_.expires_after(patience_);
  // A server may have answered, or ended, before it has read all of this: what came is read anyway.
  co_await asio::async_write(stream_, asio::buffer(request), asio::redirect_error(asio::use_awaitable, error));
  http::response_parser<http::string_body> parser;
  parser.body_limit(most_body);
  co_await http::async_read(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
  probe.result = result_of(error, parser.is_header_done());
  probe.took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
  if (parser.is_header_done()) probe.status = parser.get().result_int();
  if (error || !stays || !parser.keep_alive()) stream_.close();
  co_return probe;
}

}  // namespace baton::doctor
