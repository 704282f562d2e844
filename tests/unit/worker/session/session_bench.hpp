// Unit tests. Sessions on socket pairs, with a clock that stands still until a test moves it.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "common/worker_settings.hpp"
#include "tests/support/catch/catch.hpp"
#include "worker/poller.hpp"
#include "worker/sessions.hpp"

namespace baton::test {

using namespace std::chrono_literals;

/// What a client has received until now, and how it ended.
struct Heard {
  std::string text;
  bool ended = false;  ///< end of file
  int error = 0;       ///< ECONNRESET for instance
};

class Client {
 public:
  explicit Client(Fd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] const Fd& socket() const { return socket_; }
  void close() { socket_.reset(); }
  void end_sending() const { check(::shutdown(socket_.get(), SHUT_WR), "shutdown"); }

  /// Sends as much as the socket takes; returns how much.
  [[nodiscard]] std::size_t say_some(std::string_view text) const {
    const ssize_t sent = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  void say(std::string_view text) const { REQUIRE(say_some(text) == text.size()); }

  [[nodiscard]] Heard hear() const {
    Heard heard;
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count == 0) heard.ended = true;
      if (count == -1 && errno != EAGAIN) heard.error = errno;
      if (count <= 0) return heard;
      heard.text.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

 private:
  Fd socket_;
};

class Bench {
 public:
  static constexpr std::time_t wall_clock = 784'111'777;  // 6 November 1994, 08:49:37

  explicit Bench(WorkerSettings settings = {})
      : settings_(settings), sessions(poller, counters, settings, [this] { ++closed; }) {
    sessions.set_time(now_, wall_clock);
  }

  /// `send_buffer`: the session's SO_SNDBUF, where it is to be small.
  Client connect(int send_buffer = 0) { return connect_saying("", send_buffer); }

  /// `text` has come before the session begins. What another process holds, too, it may have left blocking.
  Client connect_saying(std::string_view text, int send_buffer = 0, Holders holders = Holders::alone) {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "socketpair");
    Fd ours{ends[0]};
    Client client{Fd{ends[1]}};
    if (send_buffer > 0)
      check(::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer), "setsockopt");
    if (holders == Holders::shared) check(::fcntl(ours.get(), F_SETFL, 0), "fcntl(F_SETFL)");
    client.say(text);
    sessions.adopt(std::move(ours), holders);
    return client;
  }

  /// Lets the sessions do all that they can do now.
  void run(int rounds = 20) {
    for (int i = 0; i < rounds; ++i) poller.wait(0);
  }

  void set_time_after(std::chrono::milliseconds time) {
    now_ += time;
    sessions.set_time(now_, wall_clock);
  }
  void advance(std::chrono::milliseconds time) {
    set_time_after(time);
    sessions.expire();
  }

  /// Says `text` and returns what comes back at once.
  Heard exchange(const Client& client, std::string_view text) {
    client.say(text);
    run();
    return client.hear();
  }

 private:
  WorkerSettings settings_;
  Sessions::Clock::time_point now_ = Sessions::Clock::now();

 public:
  Counters counters;
  Poller poller;
  std::size_t closed = 0;
  Sessions sessions;
};

inline const std::string& get_request() {
  static const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  return text;
}

/// An answer as it must be; `connection` is the field with its line end, or empty.
inline std::string pid_answer(const std::string& connection = "", bool head = false) {
  const std::string body = "pid is " + std::to_string(::getpid()) + "\n";
  return "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + connection + "\r\n" + (head ? "" : body);
}

inline std::string closing_answer() {
  return pid_answer("Connection: close\r\n");
}

inline std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace baton::test
