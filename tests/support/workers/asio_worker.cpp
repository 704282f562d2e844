// Process tests. Somebody's Asio program on a listener that others accept from too: tells each client its pid, and
// keeps the connection until the client ends it.
//
//   asio_worker LISTENER MOST      at most so many connections at a time
//
// Says "ready" once it accepts. USR1 puts its loop into a callback that lasts until USR2 comes.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "worker/fair_acceptor.hpp"

namespace {

using boost::asio::awaitable;
using boost::asio::use_awaitable;
using boost::asio::ip::tcp;

class Program {
 public:
  Program(boost::asio::io_context& context, baton::Fd listener, int most)
      : acceptor_(context, std::move(listener)), room_(most), signals_(context, SIGUSR1) {
    accept();
    await_signal();
  }

 private:
  void accept() {
    if (is_accepting_ || room_ == 0) return;
    is_accepting_ = true;
    acceptor_.async_accept([this](auto error, tcp::socket socket) {
      is_accepting_ = false;
      if (!error) --room_;
      // First back into the line, for the client may be answered before co_spawn() returns, and connect again.
      accept();
      if (!error) co_spawn(acceptor_.get_executor(), serve(std::move(socket)), boost::asio::detached);
    });
  }

  awaitable<void> serve(tcp::socket socket) {
    const std::string text = std::to_string(::getpid()) + "\n";
    try {
      co_await async_write(socket, boost::asio::buffer(text), use_awaitable);
      char end = 0;
      co_await async_read(socket, boost::asio::buffer(&end, 1), use_awaitable);
    } catch (const boost::system::system_error&) {
      // The client has ended it, which is what was waited for.
    }
    ++room_;
    accept();
  }

  void await_signal() {
    signals_.async_wait([this](auto, int) {
      sigset_t end;
      sigemptyset(&end);
      sigaddset(&end, SIGUSR2);
      std::fputs("busy\n", stderr);
      ::sigwaitinfo(&end, nullptr);
      std::fputs("free\n", stderr);
      await_signal();
    });
  }

  baton::FairAcceptor<> acceptor_;
  int room_;
  bool is_accepting_ = false;
  boost::asio::signal_set signals_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGUSR2);
  ::sigprocmask(SIG_BLOCK, &end, nullptr);
  boost::asio::io_context context;
  Program program(context, baton::Fd{std::atoi(argv[1])}, std::atoi(argv[2]));
  std::fputs("ready\n", stderr);
  context.run();
}
