// Adds to one number again and again over a Unix socket, and prints how many sums came in a second: in baton's HTTP, or
// in Redis's protocol. The same client for both: CONNECTIONS of them, on each AT_ONCE requests in one write, and the
// next ones when all of their answers have come.
//
//   counter http|redis SOCKET CONNECTIONS AT_ONCE SECONDS
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Protocol {
  std::string_view request;
  std::string_view end;    ///< of an answer, and nowhere else in it
  std::string_view begin;  ///< of a good answer
};

constexpr Protocol http{"POST /state/count HTTP/1.1\r\nHost: b\r\n\r\n", "}\n", "HTTP/1.1 200 "};
constexpr Protocol redis{"*2\r\n$4\r\nINCR\r\n$5\r\ncount\r\n", "\r\n", ":"};

int connect_to(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket == -1 || ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == -1)
    fail("connect");
  return socket;
}

class Connection {
 public:
  Connection(const Protocol& protocol, const char* path, int at_once)
      : protocol_(protocol), socket_(connect_to(path)), at_once_(at_once) {
    for (int i = 0; i < at_once; ++i) requests_ += protocol.request;
    ask();
  }

  [[nodiscard]] int socket() const { return socket_; }

  /// The answers that have come whole.
  long read() {
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (count <= 0) fail("recv");
    received_.append(buffer_.data(), static_cast<std::size_t>(count));
    long answers = 0;
    for (auto at = received_.find(protocol_.end); at != std::string::npos; at = received_.find(protocol_.end)) {
      if (!received_.starts_with(protocol_.begin)) fail(received_.c_str());
      received_.erase(0, at + protocol_.end.size());
      ++answers;
    }
    left_ -= static_cast<int>(answers);
    if (left_ == 0) ask();
    return answers;
  }

 private:
  void ask() {
    left_ = at_once_;
    if (::send(socket_, requests_.data(), requests_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(requests_.size()))
      fail("send");
  }

  const Protocol& protocol_;
  int socket_;
  int at_once_;
  int left_ = 0;
  std::string requests_, received_;
  std::array<char, 65536> buffer_{};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const Protocol& protocol = std::string_view(argv[1]) == "http" ? http : redis;
  std::vector<Connection> connections;
  std::vector<pollfd> waiting;
  const int count = std::atoi(argv[3]);
  connections.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    connections.emplace_back(protocol, argv[2], std::atoi(argv[4]));
    waiting.push_back({connections.back().socket(), POLLIN, 0});
  }
  const auto began = std::chrono::steady_clock::now();
  const std::chrono::duration<double> time(std::atof(argv[5]));
  long answers = 0;
  std::chrono::duration<double> taken{0};
  while (taken < time) {
    if (::poll(waiting.data(), waiting.size(), 1000) <= 0) fail("poll");
    for (std::size_t i = 0; i < waiting.size(); ++i)
      if (waiting[i].revents != 0) answers += connections[i].read();
    taken = std::chrono::steady_clock::now() - began;
  }
  std::printf("%.0f\n", static_cast<double>(answers) / taken.count());
}
