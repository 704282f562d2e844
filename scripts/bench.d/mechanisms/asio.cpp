// Asio programs, the same but for their acceptor: Asio's own, or the fair one.
#include <liburing.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/write.hpp>
#include <memory>

#include "job.hpp"
#include "worker/fair_acceptor.hpp"

namespace mechanisms {
namespace {

using boost::asio::io_context;
using boost::asio::ip::tcp;
using Executor = io_context::executor_type;
using Socket = boost::asio::basic_stream_socket<tcp, Executor>;

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Socket socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(boost::asio::buffer(request_), [self = shared_from_this()](auto error, std::size_t size) {
      if (!error) self->answer(reply_to({self->request_.data(), size}));
    });
  }

 private:
  void answer(Reply reply) {
    boost::asio::async_write(socket_, boost::asio::buffer(reply.bytes),
                             [self = shared_from_this(), reply](auto error, std::size_t) {
                               if (!error && !reply.is_last) self->read();
                             });
  }

  Socket socket_;
  std::array<char, request_size> request_;
};

template <class Acceptor>
void accept_on(Acceptor& acceptor) {
  acceptor.async_accept([&](auto error, Socket socket) {
    if (!error) std::make_shared<Session>(std::move(socket))->read();
    accept_on(acceptor);
  });
}

/// What the fair acceptor would be with io_uring instead of its thread, as far as its price goes: an exclusive wait in
/// the ring, begun anew after each accept, which rings the loop by an eventfd. Without looks for what was left over.
class RingAcceptor {
 public:
  RingAcceptor(io_context& context, int listener)
      : listener_(listener), bell_(context, require(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    // Not DEFER_TASKRUN: that rings a second time when the loop collects what it was rung for.
    require(::io_uring_queue_init(8, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN),
            "io_uring_setup (is it forbidden here?)");
    require(::io_uring_register_eventfd(&ring_, bell_.native_handle()), "io_uring_register");
  }

  template <class Handler>
  void async_accept(Handler handler) {
    io_uring_sqe* wait = io_uring_get_sqe(&ring_);
    io_uring_prep_poll_add(wait, listener_, POLLIN | EPOLLEXCLUSIVE);
    io_uring_submit(&ring_);
    io_uring_cqe* done = nullptr;
    while (io_uring_peek_cqe(&ring_, &done) == 0) {
      if (done->res < 0 && done->res != -ECANCELED) require(-1, "io_uring poll");
      io_uring_cqe_seen(&ring_, done);
    }
    bell_.async_wait(bell_.wait_read, [this, handler](auto) {
      eventfd_t rings = 0;
      ::eventfd_read(bell_.native_handle(), &rings);
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection == -1) return async_accept(handler);
      handler(boost::system::error_code(), Socket(bell_.get_executor(), tcp::v4(), connection));
    });
  }

 private:
  int listener_;
  io_uring ring_{};
  boost::asio::posix::basic_stream_descriptor<Executor> bell_;
};

}  // namespace

void asio_reactor(int listener) {
  io_context context(1);
  boost::asio::basic_socket_acceptor<tcp, Executor> acceptor(context, tcp::v4(), ::dup(listener));
  accept_on(acceptor);
  context.run();
}

void asio_fair(int listener) {
  io_context context(1);
  baton::FairAcceptor<tcp, Executor> acceptor(context, baton::Fd{::dup(listener)});
  accept_on(acceptor);
  context.run();
}

void asio_fair_uring(int listener) {
  io_context context(1);
  RingAcceptor acceptor(context, listener);
  accept_on(acceptor);
  context.run();
}

}  // namespace mechanisms
