// Process tests. The clients. They run in threads of their own, so they don't use Catch, which is for one thread.
#include "tests/support/clients/traffic.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <numeric>
#include <string_view>
#include <utility>

#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/deadline.hpp"

namespace baton::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto client_patience = 5s;
constexpr std::chrono::milliseconds lateness = 20ms;
constexpr std::size_t most_shown = 8;  ///< failures
constexpr std::array<std::string_view, 6> names{"answered", "refused", "reset", "empty", "timed out", "malformed"};

struct Failure {
  Fate fate;
  std::string how;
};

[[noreturn]] void fail(std::string_view call) {
  const int error = errno;
  const Fate fate = error == EAGAIN || error == EINPROGRESS || error == ETIMEDOUT ? Fate::timed_out
                    : error == ECONNREFUSED || error == ENOENT                    ? Fate::refused
                                                                                  : Fate::reset;
  throw Failure{fate, fmt::format("{}: {}", call, std::strerror(error))};
}

/// The value of a header field, empty without.
std::string_view field(std::string_view header, std::string_view name) {
  const std::string wanted = fmt::format("\r\n{}: ", name);
  const auto is_same = [](char a, char b) {  // of ASCII, which names are of
    return a == b || (std::isalpha(static_cast<unsigned char>(a)) != 0 && (a ^ ' ') == b);
  };
  const auto* const found = std::search(header.begin(), header.end(), wanted.begin(), wanted.end(), is_same);
  if (found == header.end()) return {};
  header.remove_prefix(static_cast<std::size_t>(found - header.begin()) + wanted.size());
  return header.substr(0, header.find("\r\n"));
}

}  // namespace

std::uint64_t Tally::failed() const {
  return std::accumulate(counts.begin() + 1, counts.end(), std::uint64_t{0});
}

std::ostream& operator<<(std::ostream& stream, const Tally& tally) {
  for (std::size_t i = 0; i < names.size(); ++i)
    stream << (i == 0 ? "" : ", ") << tally.counts.at(i) << ' ' << names.at(i);
  stream << ", by " << tally.pids.size() << " workers, the slowest in " << tally.slowest.count() / 1000 << " ms";
  for (const std::string& each : tally.first_failures) stream << "\n  " << each;
  return stream;
}

class Traffic::Client {
 public:
  explicit Client(const Endpoint& endpoint, Connections connections) : endpoint_(endpoint), connections_(connections) {}

  /// One request and its answer. Throws Failure.
  pid_t ask() {
    if (!socket_.is_open()) connect();
    if (connections_ == Connections::late) listen_first();
    send();
    const pid_t pid = read_answer();
    if (is_fresh()) read_end();
    if (is_fresh() || is_last_) hang_up();
    return pid;
  }
  void hang_up() {
    socket_.reset();
    received_.clear();
  }

 private:
  [[nodiscard]] bool is_fresh() const { return connections_ != Connections::kept; }

  void connect() {
    socket_ = socket_for(endpoint_);
    const timeval limit{std::chrono::seconds(client_patience).count(), 0};
    check(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt");
    check(::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "setsockopt");
    if (::connect(socket_.get(), endpoint_.get(), endpoint_.size) == -1) fail("connect");
    requests_ = 0;
  }

  /// A server that has anything to say to a client who has not spoken says the end.
  void listen_first() {
    pollfd waiting{socket_.get(), POLLIN | POLLRDHUP, 0};
    if (::poll(&waiting, 1, static_cast<int>(lateness.count())) > 0 && !read_more())
      throw Failure{Fate::empty, "the end before the first request"};
  }

  void send() {
    ++requests_;
    const std::string_view request = is_fresh() ? "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
                                                : "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    // It fits into any socket buffer, so that it goes at once or not at all.
    if (::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL) == -1)
      fail(fmt::format("send of request {} on its connection", requests_));
  }

  bool read_more() {
    std::array<char, 4096> bytes;
    const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (count == -1) fail(fmt::format("recv after request {} on its connection", requests_));
    received_.append(bytes.data(), static_cast<std::size_t>(count));
    return count > 0;
  }
  void require_more() {
    if (!read_more())
      throw Failure{Fate::empty, fmt::format("the end after request {} on its connection and \"{}\" of its answer",
                                             requests_, received_)};
  }

  pid_t read_answer() {
    std::size_t header_end = 0;
    while ((header_end = received_.find("\r\n\r\n")) == std::string::npos) require_more();
    const std::string header = received_.substr(0, header_end + 2);
    std::size_t length = 0;
    const std::string_view length_text = field(header, "Content-Length");
    std::from_chars(length_text.data(), length_text.data() + length_text.size(), length);
    while (received_.size() < header_end + 4 + length) require_more();
    const std::string body = received_.substr(header_end + 4, length);
    received_.erase(0, header_end + 4 + length);
    is_last_ = field(header, "Connection") == "close";
    pid_t pid = 0;
    constexpr std::string_view before = "pid is ";
    const bool is_good = header.starts_with("HTTP/1.1 200 ") || header.starts_with("HTTP/1.0 200 ");
    if (is_good && body.starts_with(before))
      std::from_chars(body.data() + before.size(), body.data() + body.size(), pid);
    if (pid == 0 || body != fmt::format("pid is {}\n", pid)) throw Failure{Fate::malformed, header + body};
    return pid;
  }

  void read_end() {
    while (read_more()) {
    }
    if (!received_.empty()) throw Failure{Fate::malformed, "something follows the last answer: " + received_};
  }

  const Endpoint& endpoint_;
  const Connections connections_;
  Fd socket_;
  std::string received_;
  int requests_ = 0;
  bool is_last_ = false;
};

Traffic::Traffic(const std::string& address, Connections connections, unsigned clients)
    : endpoint_(endpoint_of(address)), connections_(connections) {
  for (unsigned i = 0; i < clients; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) {
      Client client(endpoint_, connections_);
      while (!stop.stop_requested()) {
        const auto began = Clock::now();
        const auto took = [&] { return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began); };
        try {
          const pid_t pid = client.ask();
          record(Fate::answered, {}, pid, took());
        } catch (const Failure& failure) {
          client.hang_up();
          record(failure.fate, failure.how, 0, took());
          std::this_thread::sleep_for(1ms);         // else refusals keep a whole CPU from the server
        } catch (const std::system_error& error) {  // for want of descriptors, for instance
          record(Fate::malformed, error.what(), 0, took());
          return;
        }
      }
    });
  }
}

void Traffic::record(Fate fate, const std::string& how, pid_t pid, std::chrono::microseconds took) {
  const std::lock_guard lock(mutex_);
  ++tally_.counts.at(static_cast<std::size_t>(fate));
  if (fate == Fate::answered) {
    tally_.pids.insert(pid);
    tally_.slowest = std::max(tally_.slowest, took);
    if (tally_.answered() == wanted_) progress_.notify_one();
  } else if (tally_.first_failures.size() < most_shown) {
    const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
    tally_.first_failures.push_back(
        fmt::format("after {} ms: {}: {}", at.count(), names.at(static_cast<std::size_t>(fate)), how));
  }
}

Tally Traffic::stop() {
  for (std::jthread& each : threads_) each.request_stop();
  threads_.clear();
  return so_far();
}

Tally Traffic::so_far() const {
  const std::lock_guard lock(mutex_);
  return tally_;
}

void Traffic::wait_for_answers(std::uint64_t more) {
  bool came = false;
  {
    std::unique_lock lock(mutex_);
    wanted_ = tally_.answered() + more;
    came = progress_.wait_for(lock, patience, [this] { return tally_.answered() >= wanted_; });
  }
  if (!came) FAIL("no answers: " << so_far());
}

void check_unharmed(Traffic& traffic) {
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
  CHECK(tally.answered() > 0);
}

}  // namespace baton::test
