// Any process with an Asio loop. An acceptor for a listening socket that other processes accept from too: one
// connection wakes one process, idle processes take exact turns, and a process that asks for no connection takes none.
// (Asio's own acceptor wakes every process for every connection.) How, and what it costs: worker/turnstile.hpp and
// docs/accept.md.
//
//   awaitable<void> serve(baton::FairAcceptor<> acceptor) {
//     for (;;) {
//       auto [error, socket] = co_await acceptor.async_accept(as_tuple(use_awaitable));
//       if (error == asio::error::operation_aborted) co_return;
//       if (!error) co_spawn(acceptor.get_executor(), session(std::move(socket)), detached);
//     }
//   }
//
// What is wrong with a single connection is not reported: the next one is awaited. What is reported (EMFILE; EINVAL of
// a listener that some process has shut down) holds the next async_accept() back for a moment, so that the loop above
// does not spin.
//
// To be made after the last fork(2): it has a thread, which no child inherits. The thread touches nothing of Asio.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/fd.hpp"
#include "worker/adopted_socket.hpp"
#include "worker/turnstile.hpp"

namespace baton {

/// `Protocol`: that of the connections, such as ip::tcp, local::stream_protocol or, for whatever the listener turns out
/// to be, generic::stream_protocol. As all of Asio's objects it is not to be used by two threads at once: with several
/// threads, bind it and its handlers to one strand.
template <class Protocol = boost::asio::ip::tcp, class Executor = boost::asio::any_io_executor>
class FairAcceptor {
 public:
  using executor_type = Executor;
  using protocol_type = Protocol;
  using socket_type = typename Protocol::socket::template rebind_executor<Executor>::other;
  using error_code = boost::system::error_code;

  /// Takes a listening socket. Throws std::system_error, with EAFNOSUPPORT where it is not of that protocol.
  FairAcceptor(const Executor& executor, Fd listener)
      : gate_(std::make_shared<Gate>(executor, protocol_of<Protocol>(listener), std::move(listener))) {}
  template <std::derived_from<boost::asio::execution_context> Context>
  FairAcceptor(Context& context, Fd listener) : FairAcceptor(Executor(context.get_executor()), std::move(listener)) {}

  FairAcceptor(const FairAcceptor&) = delete;
  FairAcceptor& operator=(const FairAcceptor&) = delete;
  FairAcceptor(FairAcceptor&&) noexcept = default;
  FairAcceptor& operator=(FairAcceptor&& other) noexcept {
    std::swap(gate_, other.gate_);
    return *this;
  }
  /// Closes it.
  ~FairAcceptor() {
    if (gate_) close();
  }

  [[nodiscard]] executor_type get_executor() const { return gate_->bell.get_executor(); }
  [[nodiscard]] bool is_open() const { return gate_->turnstile != nullptr; }

  /// Completes with (error_code, socket_type), never before it returns. Several may be outstanding: so many connections
  /// are then taken as they come, one a turn. Cancelled (by its slot or by cancel()), it completes with
  /// operation_aborted and has taken no connection.
  template <boost::asio::completion_token_for<void(error_code, socket_type)> Token =
                boost::asio::default_completion_token_t<Executor>>
  auto async_accept(Token&& token = boost::asio::default_completion_token_t<Executor>()) {
    return boost::asio::async_compose<Token, void(error_code, socket_type)>(Accepting{gate_}, token, gate_->bell);
  }

  /// Out of turn, a connection that is queued already, if there is one: for a program that is about to close the
  /// acceptor for good, and whose clients believe themselves connected.
  std::optional<socket_type> accept_queued() {
    Fd connection = gate_->turnstile ? gate_->turnstile->accept_queued() : Fd{};
    if (!connection.is_open()) return std::nullopt;
    socket_type socket(gate_->bell.get_executor());
    error_code error;
    socket.assign(gate_->protocol, connection.get(), error);
    if (error) return std::nullopt;
    static_cast<void>(connection.release());
    return socket;
  }

  /// What is outstanding completes with operation_aborted.
  void cancel() noexcept {
    error_code ignored;
    ++gate_->cancellations;
    gate_->bell.cancel(ignored);
  }

  /// The same, for good; closes the listener, which its other holders keep.
  void close() noexcept {
    error_code ignored;
    cancel();
    gate_->turnstile.reset();
    gate_->bell.close(ignored);
  }

 private:
  /// Outlives the acceptor while operations are outstanding.
  struct Gate {
    Gate(const Executor& executor, const Protocol& its_protocol, Fd listener)
        : protocol(its_protocol), turnstile(std::make_unique<Turnstile>(std::move(listener))), bell(executor) {
      Fd copy = turnstile->bell().duplicate();
      bell.assign(copy.get());
      static_cast<void>(copy.release());
    }

    Protocol protocol;
    std::unique_ptr<Turnstile> turnstile;  ///< none once closed
    boost::asio::posix::basic_stream_descriptor<Executor> bell;
    std::uint64_t cancellations = 0;
  };

  /// One async_accept().
  struct Accepting {
    std::shared_ptr<Gate> gate;
    std::uint64_t cancellations = gate->cancellations;
    bool has_begun = false;

    template <class Self>
    void operator()(Self& self, error_code error = {}) {
      if (!std::exchange(has_begun, true)) {
        self.reset_cancellation_state(boost::asio::enable_total_cancellation());
        if (gate->turnstile) gate->turnstile->enter();
        return wait(self);
      }
      // A cancellation can come between the bell and this.
      if (gate->cancellations != cancellations || self.cancelled() != boost::asio::cancellation_type::none)
        error = boost::asio::error::operation_aborted;
      if (error) {
        if (gate->turnstile) gate->turnstile->leave();
        return self.complete(error, socket_type(gate->bell.get_executor()));
      }
      take(self);
    }

    template <class Self>
    void wait(Self& self) {
      auto& bell = gate->bell;
      bell.async_wait(bell.wait_read, std::move(self));
    }

    template <class Self>
    void take(Self& self) {
      Turnstile::Accepted accepted = gate->turnstile->accept();
      if (accepted.error == EAGAIN) return wait(self);
      socket_type socket(gate->bell.get_executor());
      error_code error(accepted.error, boost::system::system_category());
      if (!error) socket.assign(gate->protocol, accepted.connection.get(), error);
      if (!error) static_cast<void>(accepted.connection.release());
      self.complete(error, std::move(socket));
    }
  };

  std::shared_ptr<Gate> gate_;
};

}  // namespace baton
