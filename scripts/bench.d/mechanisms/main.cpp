// mechanisms NAME WORKERS PORT: so many processes that accept from one listening socket in the named way, until TERM.
// Says "ready" once all of them wait.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "job.hpp"

namespace mechanisms {

Reply reply_to(std::string_view request) {
  static const std::string kept = [] {
    const std::string body = "pid is " + std::to_string(::getpid()) + "\n";
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }();
  static const std::string last = [] {
    std::string answer = kept;
    return answer.insert(answer.find("\r\n") + 2, "Connection: close\r\n");
  }();
  const bool is_last = request.find("Connection: close") != std::string_view::npos;
  return {is_last ? last : kept, is_last};
}

int require(int result, const char* call) {
  if (result >= 0) return result;
  std::perror(call);
  std::exit(1);
}

namespace {

struct Mechanism {
  std::string_view name;
  Serve serve;
};
constexpr std::array all{
    Mechanism{"epoll-herd", epoll_herd},         Mechanism{"epoll-exclusive", epoll_exclusive},
    Mechanism{"epoll-rotating", epoll_rotating}, Mechanism{"accept-thread", accept_thread},
    Mechanism{"uring-accept", uring_accept},     Mechanism{"asio-reactor", asio_reactor},
    Mechanism{"asio-fair", asio_fair},           Mechanism{"asio-fair-uring", asio_fair_uring},
};

int listen_on(unsigned long port) {
  const int listener = require(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  const int on = 1;
  require(::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
  require(::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  require(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  require(::listen(listener, SOMAXCONN), "listen");
  return listener;
}

}  // namespace
}  // namespace mechanisms

int main(int argc, char** argv) {
  using namespace mechanisms;
  Serve serve = nullptr;
  for (const Mechanism& each : all)
    if (argc == 4 && each.name == argv[1]) serve = each.serve;
  if (serve == nullptr) {
    std::fputs("usage: mechanisms NAME WORKERS PORT; names:", stderr);
    for (const Mechanism& each : all) std::fprintf(stderr, " %s", each.name.data());
    std::fputs("\n", stderr);
    return 2;
  }
  const unsigned long workers = std::strtoul(argv[2], nullptr, 10);
  const int listener = listen_on(std::strtoul(argv[3], nullptr, 10));
  for (unsigned long i = 0; i < workers; ++i) {
    if (require(::fork(), "fork") > 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(listener);
    return 1;
  }
  ::close(listener);
  std::puts("ready");
  std::fflush(stdout);
  ::pause();
}
