// The job that every mechanism does, so that only the way to a connection differs: answer each request with the pid.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mechanisms {

/// Each runs for ever, as one of several processes with the same listening socket.
using Serve = void (*)(int listener);

void epoll_herd(int listener);
void epoll_exclusive(int listener);
void epoll_rotating(int listener);
void accept_thread(int listener);
void uring_accept(int listener);
void asio_reactor(int listener);
void asio_fair(int listener);
void asio_fair_uring(int listener);

constexpr std::size_t request_size = 2048;  ///< all that the clients of a benchmark send

struct Reply {
  std::string_view bytes;
  bool is_last = false;
};

/// A read is one request: the clients wait for each answer.
Reply reply_to(std::string_view request);

/// Ends the process where a call that can't fail has failed.
int require(int result, const char* call);

}  // namespace mechanisms
