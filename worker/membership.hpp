// Any program that links the library: its membership among the workers of a master. Gives it what it was started with,
// and lets it say and hear what passes between a worker and its master. The same program is a worker of baton in the
// dialects listen-fds and channel, of a Node master, and of systemd; alone it is none. docs/library.md shows one.
//
// As all of Asio's objects it is not to be used by two threads at once, and neither are its counters: with several
// threads, make it and use it on one strand. To be made before the program starts threads or other processes, for it
// takes variables out of the environment; and once, since it takes descriptors, too.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>

#include "common/fd.hpp"
#include "common/json_text.hpp"
#include "common/protocol.hpp"
#include "worker/counted_connection.hpp"
#include "worker/inheritance.hpp"
#include "worker/membership_state.hpp"
#include "worker/question.hpp"

namespace baton {

class Membership {
 public:
  using error_code = boost::system::error_code;
  using executor_type = boost::asio::any_io_executor;

  /// Throws UsageError where the environment names what is not there, and std::system_error.
  explicit Membership(const executor_type& executor, MembershipOptions options = {})
      : state_(std::make_shared<MembershipState>(executor, std::move(options), take_inheritance())) {
    state_->begin();
  }
  template <std::derived_from<boost::asio::execution_context> Context>
  explicit Membership(Context& context, MembershipOptions options = {})
      : Membership(executor_type(context.get_executor()), std::move(options)) {}
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;
  /// What is outstanding completes with operation_aborted.
  ~Membership() { state_->close(); }

  [[nodiscard]] executor_type get_executor() const { return state_->news().get_executor(); }
  /// There is no master, or none that we know: the program may bind for itself.
  [[nodiscard]] bool is_alone() const { return state_->is_alone(); }
  /// Among its siblings, from 1; 0 where the master gives no numbers.
  [[nodiscard]] int number() const { return state_->number(); }

  // The operations complete with an error_code and what they are named for, never before they return.

  /// The next listening socket, for a FairAcceptor: at once those that came with the start, others when the master
  /// sends them. Once the program is to drain there is none: operation_aborted. To one that is alone: not_connected.
  template <boost::asio::completion_token_for<void(error_code, GivenListener)> Token>
  auto async_listener(Token&& token) {
    return async_next<Token, void(error_code, GivenListener)>(token, [](auto& state) { return state.next_listener(); });
  }

  /// The next connection that the master has accepted for this worker (--policy roundrobin, leastconn or source);
  /// adopt() makes a socket of it. While 64 wait the channel is not read.
  template <boost::asio::completion_token_for<void(error_code, Fd)> Token>
  auto async_connection(Token&& token) {
    return async_next<Token, void(error_code, Fd)>(token, [](auto& state) { return state.next_connection(); });
  }

  /// The master's next message, as it sent it. eof: the master has gone. The first 64 wait for the first
  /// async_receive(); from then on the channel is not read while 64 wait. The length is limited to 4 MiB.
  template <boost::asio::completion_token_for<void(error_code, boost::json::value)> Token>
  auto async_receive(Token&& token) {
    return async_next<Token, void(error_code, boost::json::value)>(token,
                                                                   [](auto& state) { return state.next_message(); });
  }

  /// Completes when the program is to finish what it has and to end: at TERM, INT or QUIT, at the end of the channel,
  /// after drain(). From then on the membership keeps the loop running only as long as connections are counted, or
  /// something asked is not answered.
  template <boost::asio::completion_token_for<void(error_code)> Token>
  auto async_drain(Token&& token) {
    return async_next<Token, void(error_code)>(token, [](auto& state) { return state.drain_request(); });
  }

  /// I answer from now on. To be said once, and to be said: the master waits for it.
  void ready() { state_->say_ready(); }
  void drain() { state_->drain(); }
  /// Please replace me. `why` goes on from the worker's name in the master's log: "has used up its licences".
  void retire(std::string_view why) { state_->ask_to_retire(why); }
  /// A line about itself, which `baton status` and systemctl show.
  void status(std::string_view text) { state_->tell_status(text); }

  /// Asks something of baton: one of the questions of docs/messages.md, without its id, which is given to it here.
  /// Completes with the answer, an object whose "baton" is "state", "reply" or "error". eof: the master has gone.
  /// While draining, too: a program may save what it knows. operation_aborted: cancelled, by any type of cancellation.
  /// Otherwise the errors of send(). Not for other masters: they would never answer.
  template <boost::asio::completion_token_for<void(error_code, boost::json::object)> Token>
  auto async_ask(const boost::json::object& question, Token&& token) {
    return boost::asio::async_initiate<Token, Question::Signature>(Asking{state_}, token, unnumbered(question));
  }

  /// Answers a message that has an "id": {"baton":"message","id":…}, as async_receive() gave it. Errors as of send().
  error_code reply(const boost::json::value& received, const boost::json::value& message) {
    const boost::json::object* const said = received.if_object();
    const boost::json::value* const id = said != nullptr ? said->if_contains("id") : nullptr;
    if (id == nullptr) return boost::asio::error::invalid_argument;
    return send(boost::json::object{{"baton", "reply"}, {"id", *id}, {"message", message}});
  }

  /// To the master: at once, or as soon as it reads. no_buffer_space: 8 MiB wait for it already, and this is not sent.
  /// invalid_argument: the protocol's own words are not for programs, and JSON has no words for what is infinite or
  /// nests more than 512 levels deep. broken_pipe, not_connected: there is no master.
  error_code send(const boost::json::value& message) {
    const protocol::Kind kind = protocol::decode(message).kind;
    const bool is_for_programs = kind == protocol::Kind::plain || kind == protocol::Kind::bus;
    if (!is_for_programs || !is_readable(message, protocol::deepest)) return boost::asio::error::invalid_argument;
    return state_->send(boost::json::serialize(message));
  }

  using Connection = CountedConnection;
  /// It counts as open as long as what is returned lives.
  [[nodiscard]] Connection count_connection() { return Connection(state_); }

 private:
  /// Begins to ask.
  struct Asking {
    std::shared_ptr<MembershipState> state;

    using executor_type = boost::asio::any_io_executor;
    [[nodiscard]] executor_type get_executor() const noexcept { return state->news().get_executor(); }

    template <class Handler>
    void operator()(Handler handler, const std::string& unnumbered) const {
      auto slot = boost::asio::get_associated_cancellation_slot(handler);
      auto question = std::make_unique<AskedQuestion<Handler>>(std::move(handler), get_executor());
      const auto id = state->ask(unnumbered, std::move(question));
      if (!id || !slot.is_connected()) return;
      slot.assign([asked = std::weak_ptr(state), id = *id](boost::asio::cancellation_type) {
        if (const auto found = asked.lock()) found->cancel(id);
      });
    }
  };

  /// Waits until `look` finds something.
  template <class Look>
  struct Waiting {
    std::shared_ptr<MembershipState> state;
    Look look;
    bool has_begun = false;

    template <class Self>
    void operator()(Self& self, error_code /*error*/ = {}) {
      if (!std::exchange(has_begun, true)) {
        self.reset_cancellation_state(boost::asio::enable_total_cancellation());
        const auto executor = state->news().get_executor();
        return boost::asio::post(executor, std::move(self));
      }
      if (self.cancelled() != boost::asio::cancellation_type::none) return abort(self);
      auto found = look(*state);
      if (!found) return state->news().async_wait(std::move(self));
      complete(self, std::move(*found));
    }

    /// Without a look, for what it finds would be lost.
    template <class Self>
    void abort(Self& self) {
      typename decltype(look(*state))::value_type outcome;
      std::get<0>(outcome) = boost::asio::error::operation_aborted;
      complete(self, std::move(outcome));
    }

    template <class Self, class Outcome>
    static void complete(Self& self, Outcome outcome) {
      std::apply([&](auto&... values) { self.complete(std::move(values)...); }, outcome);
    }
  };

  template <class Token, class Signature, class Look>
  auto async_next(Token& token, Look look) {
    return boost::asio::async_compose<Token, Signature>(Waiting<Look>{state_, std::move(look)}, token, state_->news());
  }

  std::shared_ptr<MembershipState> state_;
};

}  // namespace baton
