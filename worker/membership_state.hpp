// Any program that links the library. What goes on behind a Membership (membership.hpp): waits for the channel and for
// signals, gives signs of life, keeps what the program has not asked for yet. Owns all that the membership was given.
//
// All of Asio that is in the library is in headers, so that it is compiled with the program's own settings.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "common/channel.hpp"
#include "common/fd.hpp"
#include "common/scoreboard.hpp"
#include "worker/inbox.hpp"
#include "worker/inheritance.hpp"
#include "worker/master_channel.hpp"
#include "worker/question.hpp"

namespace baton {

struct MembershipOptions {
  /// TERM, INT and QUIT ask it to drain, instead of ending it. Without, call drain().
  bool takes_signals = true;
  /// What the master did wrong, a sentence each. Without one it is written to standard error.
  std::function<void(std::string_view)> on_fault;
};

class MembershipState : public std::enable_shared_from_this<MembershipState> {
 public:
  using error_code = boost::system::error_code;
  template <class Value>
  using Found = std::optional<std::tuple<error_code, Value>>;

  MembershipState(const boost::asio::any_io_executor& executor, MembershipOptions options, Inheritance inherited);

  /// Once it is shared.
  void begin();
  /// Everything outstanding comes to its end.
  void close() noexcept;

  [[nodiscard]] bool is_alone() const { return is_alone_; }
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] Counters& counters() { return counters_; }
  [[nodiscard]] boost::asio::steady_timer& news() { return news_; }

  void say_ready();
  void drain();

  /// Sends a line that ends before its number, which is returned for cancel(). Where it can't be sent, or is empty for
  /// want of JSON to say it in, that is its end.
  std::optional<std::int64_t> ask(const std::string& unnumbered, std::unique_ptr<Question> question);
  /// The answer, should it come, is nobody's.
  void cancel(std::int64_t id);
  error_code send(std::string_view line);
  void ask_to_retire(std::string_view why);
  void tell_status(std::string_view text) const;

  void count_opened();
  void count_closed() noexcept;

  // What an operation waits for, or why it waits in vain; nothing as long as it is to wait.

  Found<GivenListener> next_listener();
  Found<Fd> next_connection();
  Found<boost::json::value> next_message();
  std::optional<std::tuple<error_code>> drain_request() const;

 private:
  class Gathering;

  // What comes, and the answers among it.
  void await_news();
  void read();
  void keep(boost::json::value message);
  void give_answers();
  void go_on();
  void end_channel();
  void wake() { news_.cancel(); }

  // What goes.
  error_code put(std::string_view line);
  void flush();
  void beat();

  // As long as there is business, the program's loop is kept running.
  void leave_if_done();
  void stay();
  void let_go();
  void cancel_signals();

  template <class Value>
  Found<Value> found(std::optional<Value> value);
  template <class Value>
  static Found<Value> aborted() {
    return std::tuple(error_code(boost::asio::error::operation_aborted), Value{});
  }
  [[nodiscard]] bool is_over() const { return is_draining_ || is_closed_; }
  [[nodiscard]] error_code no_channel() const;
  void complain(const std::string& fault) const;
  template <class Run>
  static void contain(Run run) noexcept;

  MembershipOptions options_;
  Notifier notifier_;
  std::chrono::microseconds watchdog_;
  bool is_alone_;
  int number_;
  Counters counters_;
  std::optional<MasterChannel> master_;
  std::optional<boost::asio::posix::stream_descriptor> watch_;  ///< a descriptor of its own for the channel
  std::optional<boost::asio::signal_set> signals_;
  boost::asio::steady_timer news_;  ///< never expires; is cancelled when there is something that was waited for
  boost::asio::steady_timer beat_;
  Inbox inbox_;
  Questions questions_;
  std::deque<boost::json::object> answers_;
  std::size_t open_ = 0;
  bool is_ready_ = false;
  bool is_draining_ = false;
  bool has_left_ = false;  ///< it drained, and has no connection any more
  bool is_closed_ = false;
  bool has_ended_ = false;  ///< the channel, which is yet to be dealt with
  bool had_channel_ = false;
  bool is_reading_ = false;
  bool is_flushing_ = false;
  bool flushes_soon_ = false;  ///< what is put may wait for it
  bool has_dropped_ = false;
};

}  // namespace baton

#include "worker/membership_state_impl.hpp"
