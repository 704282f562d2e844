// Unit tests. A control socket on an io_context in the test's own hands, commands that only remember what was asked,
// and a client on a non-blocking socket that sends the very bytes it is given.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "master/control/control.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/deadline.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {

/// Short, where a test waits for it.
inline ControlLimits hasty() {
  ControlLimits limits;
  limits.request = 30ms;
  limits.closing = 30ms;
  return limits;
}

class FakeCommands final : public Commands {
 public:
  struct Asked {
    std::string what;  ///< "scale +2"
    Done done;
  };

  [[nodiscard]] boost::json::object status() const override { return shown; }
  void scale(std::string_view amount, Done done) override {
    if (amount.find_first_not_of("+-0123456789") != std::string_view::npos)
      throw UsageError("\"" + std::string(amount) + "\" is not a number of workers");
    ask("scale " + std::string(amount), std::move(done));
  }
  void reload(Done done) override { ask("reload", std::move(done)); }
  void stop(Done done) override { ask("stop", std::move(done)); }
  void send(const Addressee& to, const boost::json::value& message, std::optional<std::chrono::milliseconds> time_limit,
            Done done) override {
    ask("send " + std::to_string(to.number) + " " + boost::json::serialize(message) +
            (time_limit ? " within " + std::to_string(time_limit->count()) : ""),
        std::move(done));
  }
  std::string carry_out(const state::Operation& operation) override {
    std::string answer = "{";
    state::carry_out(store, operation, state::Moment{}, answer);
    return answer + "}";
  }
  [[nodiscard]] Events& changes() override { return changes_; }
  [[nodiscard]] Events& events() override { return events_; }

  state::Store store;
  std::vector<Asked> asked;
  std::function<void(const std::string&, const Done&)> on_ask;  ///< runs within the command
  boost::json::object shown{{"name", "fake"}};

 private:
  void ask(const std::string& what, Done done) {
    asked.push_back({what, done});
    if (on_ask) on_ask(what, done);
  }

  Events events_;
  Events changes_;
};

struct ControlServer {
  explicit ControlServer(const ControlLimits& limits = {}) {
    control = std::make_unique<Control>(context.get_executor(), commands, path, limits);
  }

  /// Runs what is ready, and a little more, until `done` is true; the test fails when it never is.
  template <class Condition>
  void run_until(Condition done) {
    const Deadline deadline;
    for (;;) {
      context.restart();
      context.poll();
      if (done()) return;
      REQUIRE_FALSE(deadline.has_passed());
      context.run_one_for(std::chrono::milliseconds(2));
    }
  }

  /// Until nothing is left to do at once.
  void settle() {
    context.restart();
    while (context.poll() > 0) context.restart();
  }

  Directory directory;
  std::string path = directory / "baton.sock";
  boost::asio::io_context context{1};
  FakeCommands commands;
  std::unique_ptr<Control> control;  ///< on the heap, where a sanitizer sees what is used after its end
};

struct ControlAnswer {
  unsigned status = 0;
  std::string body;
  std::string allow;
  bool keeps_alive = false;
  [[nodiscard]] boost::json::object json() const { return boost::json::parse(body).as_object(); }
  [[nodiscard]] std::string message() const { return std::string(json().at("message").as_string()); }
  /// Of what the shared state refuses.
  [[nodiscard]] std::string code() const { return std::string(json().at("code").as_string()); }
  [[nodiscard]] std::string error() const { return std::string(json().at("error").as_string()); }
};

class ControlPeer {
 public:
  explicit ControlPeer(ControlServer& server)
      : server_(&server), socket_(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, server.path.data(), server.path.size());
    check(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  }

  /// All of it, while the server runs; false when the server has closed.
  bool send(std::string_view bytes) {
    bool open = true;
    server_->run_until([&] {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
      open = count >= 0 || errno == EAGAIN;
      return bytes.empty() || !open;
    });
    return open;
  }

  void ask(const std::string& line, const std::string& body = "") {
    const std::string length = body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n";
    REQUIRE(send(line + " HTTP/1.1\r\nHost: baton\r\n" + length + "\r\n" + body));
  }

  /// Reads what is there. False when the server has closed.
  bool receive() {
    char bytes[4096];
    for (;;) {
      const ssize_t count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      if (count > 0)
        received_.append(bytes, static_cast<std::size_t>(count));
      else
        return count == -1 && errno == EAGAIN;
    }
  }

  ControlAnswer answer() {
    namespace http = boost::beast::http;
    ControlAnswer answer;
    server_->run_until([&] {
      const bool open = receive();
      http::response_parser<http::string_body> parser;
      parser.eager(true);
      boost::system::error_code error;
      const std::size_t used = parser.put(boost::asio::buffer(received_), error);
      if (!error && parser.is_done()) {
        received_.erase(0, used);
        answer = {parser.get().result_int(), parser.get().body(), std::string(parser.get()[http::field::allow]),
                  parser.get().keep_alive()};
        return true;
      }
      INFO("received: " << received_);
      REQUIRE(open);
      return false;
    });
    return answer;
  }

  ControlAnswer request(const std::string& line, const std::string& body = "") {
    ask(line, body);
    return answer();
  }

  /// Waits until the server has closed; what came before is in received().
  void wait_for_close() {
    server_->run_until([&] { return !receive(); });
  }
  [[nodiscard]] bool is_closed() { return !receive(); }
  void wait_for(std::string_view part) {
    server_->run_until([&] {
      receive();
      return received_.find(part) != std::string::npos;
    });
  }
  [[nodiscard]] const std::string& received() const { return received_; }
  void end_sending() { ::shutdown(socket_.get(), SHUT_WR); }

 private:
  ControlServer* server_;
  Fd socket_;
  std::string received_;
};

}  // namespace baton::test
