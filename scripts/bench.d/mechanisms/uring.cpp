// io_uring for everything: an accept that is armed again after each connection, and receiving and sending in the ring.
#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>

#include "job.hpp"

namespace mechanisms {
namespace {

enum class Deed : std::uint8_t { accept, receive, send, close };

struct Connection {
  int fd;
  bool is_last = false;
  std::array<char, request_size> request;
};

/// The deed is in the low bits of what comes with a completion.
std::uint64_t tag(Deed deed, Connection* connection = nullptr) {
  return reinterpret_cast<std::uint64_t>(connection) | static_cast<std::uint64_t>(deed);
}

class Server {
 public:
  explicit Server(int listener) : listener_(listener) {
    // The cheapest way, where the kernel has it: completions are looked for when the loop waits, and not before.
    if (::io_uring_queue_init(1024, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) < 0)
      require(::io_uring_queue_init(1024, &ring_, 0), "io_uring_setup (is it forbidden here?)");
  }

  [[noreturn]] void run() {
    accept();
    for (;;) {
      io_uring_submit_and_wait(&ring_, 1);
      io_uring_cqe* done = nullptr;
      unsigned head = 0;
      unsigned count = 0;
      io_uring_for_each_cqe(&ring_, head, done) {
        ++count;
        on_done(done->user_data, done->res);
      }
      io_uring_cq_advance(&ring_, count);
    }
  }

 private:
  io_uring_sqe* submission(std::uint64_t its_tag) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      io_uring_submit(&ring_);
      entry = io_uring_get_sqe(&ring_);
    }
    std::memset(entry, 0, sizeof *entry);
    entry->user_data = its_tag;
    return entry;
  }
  template <class Prepare>
  void submit(std::uint64_t its_tag, Prepare prepare) {
    io_uring_sqe* entry = submission(its_tag);
    prepare(entry);
    entry->user_data = its_tag;
  }

  void accept() {
    submit(tag(Deed::accept), [&](auto* entry) {
      io_uring_prep_accept(entry, listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    });
  }
  void receive(Connection* its) {
    submit(tag(Deed::receive, its),
           [&](auto* entry) { io_uring_prep_recv(entry, its->fd, its->request.data(), its->request.size(), 0); });
  }
  void end(Connection* its) {
    submit(tag(Deed::close), [&](auto* entry) { io_uring_prep_close(entry, its->fd); });
    delete its;
  }

  void on_done(std::uint64_t its_tag, int result) {
    auto* const its = reinterpret_cast<Connection*>(its_tag & ~std::uint64_t{3});
    switch (static_cast<Deed>(its_tag & 3)) {
      case Deed::accept:
        if (result >= 0) receive(new Connection{result, false, {}});
        return accept();
      case Deed::receive: {
        if (result <= 0) return end(its);
        const Reply reply = reply_to({its->request.data(), static_cast<std::size_t>(result)});
        its->is_last = reply.is_last;
        return submit(tag(Deed::send, its), [&](auto* entry) {
          io_uring_prep_send(entry, its->fd, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL);
        });
      }
      case Deed::send:
        return its->is_last || result < 0 ? end(its) : receive(its);
      case Deed::close:
        return;
    }
  }

  int listener_;
  io_uring ring_{};
};

}  // namespace

void uring_accept(int listener) {
  Server(listener).run();
}

}  // namespace mechanisms
