// Client. One connection to the control socket: a request, and an answer that comes whole or piece by piece. Owns the
// descriptor. Blocking, without Asio: a process that asks one thing needs no event loop.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>
#include <string_view>

#include "common/fd.hpp"

namespace baton {

class ClientConnection {
 public:
  /// Throws StartError where nobody listens on `path`.
  explicit ClientConnection(const std::string& path);

  /// A body is JSON; empty: there is none.
  void ask(std::string_view method, std::string_view target, std::string_view body = {});

  /// Waits for more of the answer and takes it. Throws StartError when the master has gone, or speaks no HTTP.
  void receive();
  /// Likewise, but the master has to say something soon.
  void receive_soon();

  [[nodiscard]] const Fd& socket() const { return socket_; }
  [[nodiscard]] bool has_header() const { return parser_.is_header_done(); }
  [[nodiscard]] bool is_done() const { return parser_.is_done(); }
  [[nodiscard]] unsigned status() const { return parser_.get().result_int(); }
  /// What of the body has come since the last call.
  std::string take_body();

 private:
  Fd socket_;
  boost::beast::flat_buffer buffer_;
  boost::beast::http::response_parser<boost::beast::http::string_body> parser_;
};

}  // namespace baton
