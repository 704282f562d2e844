// A client of scripts/bench, for what wrk can't do: it opens a number of connections in a given pattern, asks once on
// each, and tells who answered. One thread, one epoll, and no library between it and the system calls, so that "as fast
// as one thread can" is the kernel's speed.
//
// usage: dialer PORT PATTERN COUNT ADDRESSES
//   one    a connection at a time, closed once it is answered
//   paced  one each millisecond, all held open until the end
//   burst  as fast as one thread can, all held open until the end
//   many   64 at a time, each closed once it is answered, and followed by another
//   few    likewise, 8 at a time
//   idle   64 unanswered at a time, all held open until standard input ends
// ADDRESSES is how many source addresses they come from, in turn: 127.0.0.1, or 127.1.0.1 and on.
//
// At the end a line each: "us P50 P99 P99.9", from the connect to the answer, of all that were answered; "answered
// COUNT TEXT" for every text of an answer; and "lost COUNT WHY".
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto patience = 15s;
constexpr std::size_t window = 64;

int checked(int result, const char* what) {
  if (result != -1) return result;
  std::perror(what);
  std::_Exit(1);
}

struct Pattern {
  bool is_held = false;           ///< connections stay open once they are answered
  bool is_paced = false;          ///< one each millisecond
  std::size_t most_unanswered{};  ///< otherwise: as many as this at a time
};

const std::map<std::string_view, Pattern> patterns{{"one", {.most_unanswered = 1}},
                                                   {"paced", {.is_held = true, .is_paced = true}},
                                                   {"burst", {.is_held = true, .most_unanswered = SIZE_MAX}},
                                                   {"many", {.most_unanswered = window}},
                                                   {"few", {.most_unanswered = 8}},
                                                   {"idle", {.is_held = true, .most_unanswered = window}}};

struct Connection {
  int descriptor = -1;
  Clock::time_point began;
  bool has_asked = false;
  std::string answer;
};

class Dialer {
 public:
  Dialer(in_port_t port, Pattern pattern, std::size_t count, std::size_t addresses)
      : port_(port), pattern_(pattern), addresses_(addresses), connections_(count) {
    const char* close = pattern.is_held ? "" : "Connection: close\r\n";
    request_ = std::string("GET / HTTP/1.1\r\nHost: bench\r\n") + close + "\r\n";
  }

  void run() {
    const auto deadline = Clock::now() + patience;
    if (pattern_.is_paced) start_timer();
    while (begun_ < connections_.size() || unanswered_ > 0) {
      if (Clock::now() > deadline) return give_up();
      while (!pattern_.is_paced && begun_ < connections_.size() && unanswered_ < pattern_.most_unanswered) begin();
      wait();
    }
  }

  /// Whether every connection was answered.
  bool tell() {
    std::sort(waits_.begin(), waits_.end());
    if (!waits_.empty()) std::printf("us %ld %ld %ld\n", wait_of(0.5), wait_of(0.99), wait_of(0.999));
    for (const auto& [text, count] : answered_) std::printf("answered %zu %s\n", count, text.c_str());
    for (const auto& [why, count] : lost_) std::printf("lost %zu %s\n", count, why.c_str());
    std::fflush(stdout);
    return lost_.empty();
  }

 private:
  /// How long that part of the connections waited at most, in microseconds.
  long wait_of(double part) const {
    const auto last = static_cast<std::size_t>(part * static_cast<double>(waits_.size() - 1));
    return static_cast<long>(std::chrono::duration_cast<std::chrono::microseconds>(waits_[last]).count());
  }

  void start_timer() {
    timer_ = checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
    const itimerspec each_millisecond{{0, 1'000'000}, {0, 1'000'000}};
    checked(::timerfd_settime(timer_, 0, &each_millisecond, nullptr), "timerfd_settime");
    watch(timer_, EPOLL_CTL_ADD, EPOLLIN, connections_.size());
  }

  void watch(int descriptor, int operation, std::uint32_t events, std::size_t number) const {
    epoll_event event{events, {.u64 = number}};
    checked(::epoll_ctl(epoll_, operation, descriptor, &event), "epoll_ctl");
  }

  void wait() {
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
    for (int i = 0; i < count; ++i) {
      const std::size_t number = events[static_cast<std::size_t>(i)].data.u64;
      if (number == connections_.size()) {
        tick();
      } else if (!connections_[number].has_asked) {
        ask(number);
      } else {
        hear(number);
      }
    }
  }

  void tick() {
    std::uint64_t expirations = 0;
    checked(static_cast<int>(::read(timer_, &expirations, sizeof expirations)), "timerfd");
    // One, also where several are due: a client that was kept from running must not turn into a burst.
    if (begun_ < connections_.size()) begin();
  }

  void bind_source(int descriptor, std::size_t number) const {
    if (addresses_ < 2) return;
    const std::size_t turn = number % addresses_;
    const int on = 1;
    // The port is chosen at the connect, where it need not be free but for this very destination.
    checked(::setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), "IP_BIND_ADDRESS_NO_PORT");
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(static_cast<std::uint32_t>(0x7f010000 + (turn / 250 << 8) + turn % 250 + 1));
    checked(::bind(descriptor, reinterpret_cast<const sockaddr*>(&source), sizeof source), "bind");
  }

  void begin() {
    const std::size_t number = begun_++;
    ++unanswered_;
    const int descriptor = checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    connections_[number].descriptor = descriptor;
    connections_[number].began = Clock::now();
    bind_source(descriptor, number);
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(port_);
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int result = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&server), sizeof server);
    if (result == -1 && errno != EINPROGRESS) return lose(number, std::string("connect: ") + std::strerror(errno));
    watch(descriptor, EPOLL_CTL_ADD, EPOLLOUT, number);
    // On loopback the handshake is over by now, as a rule.
    ask(number);
  }

  void ask(std::size_t number) {
    Connection& connection = connections_[number];
    const ssize_t count = ::send(connection.descriptor, request_.data(), request_.size(), MSG_NOSIGNAL);
    if (count == -1 && errno == EAGAIN) return;
    if (count == -1) return lose(number, std::string("send: ") + std::strerror(errno));
    if (count != static_cast<ssize_t>(request_.size())) return lose(number, "send: cut short");
    connection.has_asked = true;
    watch(connection.descriptor, EPOLL_CTL_MOD, EPOLLIN, number);
  }

  void hear(std::size_t number) {
    Connection& connection = connections_[number];
    std::array<char, 4096> buffer;
    const ssize_t count = ::recv(connection.descriptor, buffer.data(), buffer.size(), 0);
    if (count == -1 && errno == EAGAIN) return;
    if (count == -1) return lose(number, std::string("recv: ") + std::strerror(errno));
    connection.answer.append(buffer.data(), static_cast<std::size_t>(count));
    // Of a connection that stays open, the end of the text is the end of what we ask for: a chunked body's trailer
    // follows.
    if (count == 0 || (pattern_.is_held && text_of(connection.answer))) take_answer(number);
  }

  /// The line that says who answers, once it is there as a whole.
  static const char* text_of(std::string& answer) {
    const std::size_t body = answer.find("\r\n\r\n");
    const std::size_t begin = body == answer.npos ? body : answer.find("pid is ", body);
    const std::size_t end = begin == answer.npos ? begin : answer.find('\n', begin);
    if (end == answer.npos) return nullptr;
    answer[end] = '\0';
    return answer.data() + begin;
  }

  void take_answer(std::size_t number) {
    Connection& connection = connections_[number];
    if (!connection.answer.starts_with("HTTP/1.1 200 ")) {
      const std::string line = connection.answer.substr(0, connection.answer.find('\r'));
      return lose(number, connection.answer.empty() ? "closed without an answer" : "answered: " + line);
    }
    // Of one that is held, it was found before.
    const std::size_t found = connection.answer.rfind("pid is ");
    if (found == connection.answer.npos) return lose(number, "answered without a pid");
    const char* text = connection.answer.data() + found;
    ++answered_[std::string(text, std::strcspn(text, "\n"))];
    waits_.push_back(Clock::now() - connection.began);
    --unanswered_;
    if (pattern_.is_held) {
      watch(connection.descriptor, EPOLL_CTL_DEL, 0, number);
      std::string().swap(connection.answer);
    } else {
      close(connection);
    }
  }

  void lose(std::size_t number, const std::string& why) {
    ++lost_[why];
    --unanswered_;
    close(connections_[number]);
  }

  static void close(Connection& connection) {
    ::close(connection.descriptor);
    connection = {};
  }

  void give_up() {
    const std::size_t never_begun = connections_.size() - begun_;
    if (unanswered_ > 0) lost_["no answer in time"] += unanswered_;
    if (never_begun > 0) lost_["not begun in time"] += never_begun;
  }

  in_port_t port_;
  Pattern pattern_;
  std::size_t addresses_;
  std::vector<Connection> connections_;
  std::string request_;
  int epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  int timer_ = -1;
  std::size_t begun_ = 0;
  std::size_t unanswered_ = 0;
  std::vector<Clock::duration> waits_;
  std::map<std::string, std::size_t> answered_;
  std::map<std::string, std::size_t> lost_;
};

void raise_descriptor_limit() {
  rlimit limit{};
  checked(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  checked(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

}  // namespace

int main(int argc, char** argv) {
  const auto pattern = argc == 5 ? patterns.find(argv[2]) : patterns.end();
  const int port = pattern == patterns.end() ? 0 : std::atoi(argv[1]);
  const long count = port < 1 ? 0 : std::atol(argv[3]);
  const long addresses = count < 1 ? 0 : std::atol(argv[4]);
  if (addresses < 1) return std::fputs("usage: dialer PORT one|paced|burst|many|few|idle COUNT ADDRESSES\n", stderr), 2;

  raise_descriptor_limit();
  Dialer dialer(static_cast<in_port_t>(port), pattern->second, static_cast<std::size_t>(count),
                static_cast<std::size_t>(addresses));
  dialer.run();
  if (!dialer.tell()) return 1;
  if (pattern->first == "idle") {
    for (char byte = 0; ::read(STDIN_FILENO, &byte, 1) > 0;) {
    }
  }
  return 0;
}
