// The floor of scripts/bench: the least that a program can do and still be a fair, preforked HTTP server. It answers
// whatever has the end of a header, parses nothing else, and has no timeouts, limits or log. One process is the parent,
// which only waits for signals; each of the others owns one epoll with the shared listener and its connections.
//
// usage: floor PORT WORKERS. SIGUSR1: how many connections were accepted so far, and how many accepts found none.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// One for each worker, in memory that they share with the parent.
struct alignas(64) Counts {
  std::atomic<unsigned long> accepted;
  std::atomic<unsigned long> misses;
};

int checked(int result, const char* what) {
  if (result != -1) return result;
  std::perror(what);
  std::_Exit(1);
}

/// Only its own process writes it, so that no locked instruction is needed.
void add_one(std::atomic<unsigned long>& count) {
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

class Worker {
 public:
  Worker(int listener, Counts& counts)
      : listener_(listener), counts_(counts), epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    const std::string body = "pid is " + std::to_string(::getpid()) + "\n";
    // As long as baton's.
    const std::string head =
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n";
    kept_ = head + "\r\n" + body;
    last_ = head + "Connection: close\r\n\r\n" + body;
  }

  [[noreturn]] void run() {
    watch_listener(EPOLL_CTL_ADD);
    for (;;) {
      std::array<epoll_event, 64> events;
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int ready = events[static_cast<std::size_t>(i)].data.fd;
        if (ready == listener_) {
          accept_one();
        } else {
          read(ready);
        }
      }
    }
  }

 private:
  void watch_listener(int operation) {
    epoll_event event{EPOLLIN | EPOLLEXCLUSIVE, {.fd = listener_}};
    checked(::epoll_ctl(epoll_, operation, listener_, &event), "epoll_ctl");
  }

  void accept_one() {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection == -1) return add_one(counts_.misses);
    add_one(counts_.accepted);
    // To the other end of the listener's wait queue: the kernel wakes from one end, and so each takes its turn.
    watch_listener(EPOLL_CTL_DEL);
    watch_listener(EPOLL_CTL_ADD);
    epoll_event event{EPOLLIN, {.fd = connection}};
    checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection, &event), "epoll_ctl");
    const auto number = static_cast<std::size_t>(connection);
    if (begun_.size() <= number) begun_.resize(number + 1);
  }

  void close(int connection) {
    std::string().swap(begun_[static_cast<std::size_t>(connection)]);
    ::close(connection);
  }

  void read(int connection) {
    const ssize_t count = ::recv(connection, buffer_.data(), buffer_.size(), 0);
    if (count == -1 && errno == EAGAIN) return;
    if (count <= 0) return close(connection);
    std::string& begun = begun_[static_cast<std::size_t>(connection)];
    std::string_view bytes(buffer_.data(), static_cast<std::size_t>(count));
    if (!begun.empty()) bytes = begun.append(bytes);

    out_.clear();
    bool is_last = false;
    for (std::size_t end = 0; !is_last && (end = bytes.find("\r\n\r\n")) != bytes.npos;) {
      is_last = bytes.substr(0, end).find("\r\nConnection: close") != bytes.npos;
      out_ += is_last ? last_ : kept_;
      bytes.remove_prefix(end + 4);
    }
    const std::string rest(bytes);
    begun = rest;
    // A client that lets answers pile up is not among those that are measured: it loses its connection, and counts it.
    const ssize_t sent = out_.empty() ? 0 : ::send(connection, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (is_last || sent != static_cast<ssize_t>(out_.size())) close(connection);
  }

  int listener_;
  Counts& counts_;
  int epoll_;
  std::string kept_;
  std::string last_;
  std::string out_;
  std::array<char, 16384> buffer_;
  std::vector<std::string> begun_;  ///< by descriptor: a request of which the end has not come yet
};

int bound_listener(int port) {
  const int listener = checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  checked(::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  // Inherited by what is accepted.
  checked(::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<in_port_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  checked(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  checked(::listen(listener, 4096), "listen");
  return listener;
}

}  // namespace

int main(int argc, char** argv) {
  const int port = argc == 3 ? std::atoi(argv[1]) : 0;
  const int workers = argc == 3 ? std::atoi(argv[2]) : 0;
  if (port < 1 || workers < 1) return std::fputs("usage: floor PORT WORKERS\n", stderr), 2;

  const std::size_t size = sizeof(Counts) * static_cast<std::size_t>(workers);
  auto* counts = static_cast<Counts*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (counts == MAP_FAILED) return std::perror("mmap"), 1;

  // Before there is a worker that answers, and so a client that takes this process for ready.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int each : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&signals, each);
  sigprocmask(SIG_BLOCK, &signals, nullptr);

  const int listener = bound_listener(port);
  const pid_t parent = ::getpid();
  for (int i = 0; i < workers; ++i) {
    if (checked(::fork(), "fork") != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) return 1;
    static Worker worker(listener, counts[i]);
    worker.run();
  }

  for (int got = 0; sigwait(&signals, &got) == 0 && got == SIGUSR1;) {
    unsigned long accepted = 0;
    unsigned long misses = 0;
    for (int i = 0; i < workers; ++i) {
      accepted += counts[i].accepted;
      misses += counts[i].misses;
    }
    std::fprintf(stderr, "accepted %lu misses %lu\n", accepted, misses);
  }
  // The workers follow, by PR_SET_PDEATHSIG.
  return 0;
}
