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
#include "worker/correspondence.hpp"
#include "worker/inheritance.hpp"
#include "worker/question.hpp"

namespace baton {

struct MembershipOptions {
  /// TERM, INT and QUIT ask it to drain, instead of the end. Without, call drain().
  bool takes_signals = true;
  /// What the master did wrong, a sentence each. Without one it is written to standard error.
  std::function<void(std::string_view)> on_fault;
};

class MembershipState : public std::enable_shared_from_this<MembershipState> {
 public:
  using error_code = boost::system::error_code;
  template <class Value>
  using Found = std::optional<std::tuple<error_code, Value>>;

  MembershipState(const boost::asio::any_io_executor& executor, MembershipOptions options, Inheritance inherited)
      : options_(std::move(options)),
        notifier_(std::move(inherited.notifier)),
        watchdog_(inherited.watchdog),
        is_alone_(!inherited.channel && inherited.listeners.empty()),
        number_(inherited.number),
        news_(executor, boost::asio::steady_timer::time_point::max()),
        beat_(executor) {
    for (GivenListener& each : inherited.listeners) listeners_.push_back(std::move(each));
    if (inherited.channel) {
      correspondence_.emplace(std::move(*inherited.channel), counters_);
      Fd copy = correspondence_->socket().duplicate();
      watch_.emplace(executor, copy.get());
      static_cast<void>(copy.release());
    }
    if (options_.takes_signals) signals_.emplace(executor, SIGTERM, SIGINT, SIGQUIT);
  }

  /// Once it is shared.
  void begin() {
    await_news();
    flush();
    beat();
    if (!signals_) return;
    signals_->async_wait([self = shared_from_this()](error_code error, int) {
      if (!error) self->drain();
    });
  }

  /// Everything outstanding comes to its end.
  void close() noexcept {
    is_closed_ = true;
    contain([this] {
      questions_.fail(boost::asio::error::operation_aborted);
      let_go();
    });
  }

  [[nodiscard]] bool is_alone() const { return is_alone_; }
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] Counters& counters() { return counters_; }
  [[nodiscard]] boost::asio::steady_timer& news() { return news_; }

  void say_ready() {
    if (std::exchange(is_ready_, true)) return;
    if (correspondence_) correspondence_->say_ready();
    flush();
    notifier_.tell_surely("READY=1");
  }

  void drain() {
    if (std::exchange(is_draining_, true)) return;
    if (correspondence_) correspondence_->set_draining();
    notifier_.tell("STOPPING=1");
    cancel_signals();
    wake();
    // Behind those who were woken, who may yet accept what is queued.
    boost::asio::post(news_.get_executor(), [self = shared_from_this()] { self->leave_if_done(); });
  }

  /// Sends a line that ends before its number, which is returned for cancel(). Where it can't be sent, or is empty for
  /// want of JSON to say it in, that is its end.
  std::optional<std::int64_t> ask(const std::string& unnumbered, std::unique_ptr<Question> question) {
    const std::int64_t id = questions_.next_id();
    const error_code error = unnumbered.empty() ? boost::asio::error::invalid_argument
                             : is_closed_       ? boost::asio::error::operation_aborted
                                                : put(unnumbered + std::to_string(id) + "}");
    if (error) {
      question->fail(error);
      return std::nullopt;
    }
    questions_.add(id, std::move(question));
    stay();
    return id;
  }

  /// The answer, should it come, is nobody's.
  void cancel(std::int64_t id) {
    const auto question = questions_.take(id);
    if (!question) return;
    question->fail(boost::asio::error::operation_aborted);
    leave_if_done();
  }

  error_code send(std::string_view line) {
    if (!correspondence_) return boost::asio::error::not_connected;
    const Channel::Sent sent = correspondence_->send(line);
    flush();
    if (sent == Channel::Sent::full) return boost::asio::error::no_buffer_space;
    return sent == Channel::Sent::closed ? boost::asio::error::broken_pipe : error_code{};
  }

  void ask_to_retire(std::string_view why) {
    if (correspondence_) correspondence_->ask_to_retire(why);
    flush();
  }

  void tell_status(std::string_view text) const {
    notifier_.tell("STATUS=" + std::string(text.substr(0, text.find('\n'))));
  }

  void count_opened() {
    counters_.add(Metric::accepted);
    counters_.set(Metric::open, ++open_);
    stay();
  }

  void count_closed() noexcept {
    counters_.set(Metric::open, --open_);
    contain([this] {
      if (correspondence_) correspondence_->tell_open(open_ + connections_.size());
      flush();
      leave_if_done();
    });
  }

  // What an operation waits for, or why it waits in vain; nothing as long as it is to wait.

  Found<GivenListener> next_listener() {
    if (is_over()) return aborted<GivenListener>();
    if (is_alone_) return std::tuple(error_code(boost::asio::error::not_connected), GivenListener{});
    return next(listeners_);
  }

  Found<Fd> next_connection() {
    if (auto found = next(connections_)) return found;
    if (is_over()) return aborted<Fd>();
    if (!correspondence_) return std::tuple(error_code(boost::asio::error::not_connected), Fd{});
    return std::nullopt;
  }

  Found<boost::json::value> next_message() {
    wants_messages_ = true;
    if (auto found = next(messages_)) return found;
    if (is_closed_) return aborted<boost::json::value>();
    if (!correspondence_) return std::tuple(no_channel(), boost::json::value());
    if (has_left_) return aborted<boost::json::value>();
    return std::nullopt;
  }

  std::optional<std::tuple<error_code>> drain_request() const {
    if (is_draining_) return std::tuple(error_code{});
    if (is_closed_) return std::tuple(error_code(boost::asio::error::operation_aborted));
    return std::nullopt;
  }

 private:
  /// Messages, and connections, that are kept for a program that does not ask for them.
  static constexpr std::size_t most_kept = 64;

  [[nodiscard]] bool is_over() const { return is_draining_ || is_closed_; }

  /// The master has gone, or there was none.
  [[nodiscard]] error_code no_channel() const {
    return had_channel_ ? error_code(boost::asio::error::eof) : error_code(boost::asio::error::not_connected);
  }

  /// For destructors, which nothing may leave: a channel that is broken is found so again when it is read.
  template <class Run>
  static void contain(Run run) noexcept {
    try {
      run();
    } catch (const std::exception& error) {
      static_cast<void>(std::fprintf(stderr, "a worker's channel: %s\n", error.what()));
    }
  }

  template <class Value>
  static Found<Value> aborted() {
    return std::tuple(error_code(boost::asio::error::operation_aborted), Value{});
  }

  template <class Value>
  Found<Value> next(std::deque<Value>& queue) {
    if (queue.empty()) return std::nullopt;
    Found<Value> found = std::tuple(error_code{}, std::move(queue.front()));
    queue.pop_front();
    await_news();  // there is room for more
    return found;
  }

  void wake() { news_.cancel(); }

  /// A program that is behind is sent no more: what it does not read waits at the master, up to a limit.
  [[nodiscard]] bool is_behind() const {
    return connections_.size() >= most_kept || (wants_messages_ && messages_.size() >= most_kept);
  }

  void await_news() {
    if (!watch_ || has_ended_ || has_left_ || is_closed_ || is_behind() || std::exchange(is_reading_, true)) return;
    watch_->async_wait(watch_->wait_read, [self = shared_from_this()](error_code error) {
      self->is_reading_ = false;
      if (error == boost::asio::error::operation_aborted) return self->await_news();  // it may have been resumed since
      if (!error) self->read();
    });
  }

  void read() {
    if (!correspondence_) return;
    Correspondence::News news;
    try {
      news = correspondence_->read();
    } catch (const std::system_error& error) {
      news.faults.emplace_back(error.what());
      news.has_ended = true;
    }
    for (const std::string& each : news.faults) complain(each);
    for (GivenListener& each : news.listeners) listeners_.push_back(std::move(each));
    for (Fd& each : news.connections) connections_.push_back(std::move(each));
    for (boost::json::object& each : news.answers) answers_.push_back(std::move(each));
    for (boost::json::value& each : news.messages) keep(std::move(each));
    has_ended_ = has_ended_ || news.has_ended;
    wake();
    give_answers();
  }

  /// Whoever asked runs in here, which saves a turn of the loop, and what they ask next goes out in one write.
  void give_answers() {
    const Gathering gathering(*this);
    for (std::size_t given = 0; !answers_.empty();) {
      boost::json::object answer = std::move(answers_.front());
      answers_.pop_front();
      questions_.settle(std::move(answer));
      if (++given % lines_per_write == 0) flush();
    }
  }

  /// Behind the answers: those that came with the channel's end are no less given, and to wait anew costs a system
  /// call, during which the master is better at work on what they have asked.
  void go_on() {
    if (std::exchange(has_ended_, false))
      end_channel();
    else
      await_news();
    leave_if_done();
  }

  /// As long as one exists, what is put waits for its end. Of the answers that a handler's exception leaves behind
  /// none is lost.
  class Gathering {
   public:
    explicit Gathering(MembershipState& state)
        : state_(state.shared_from_this()), flushed_soon_(std::exchange(state_->flushes_soon_, true)) {}
    Gathering(const Gathering&) = delete;
    Gathering& operator=(const Gathering&) = delete;
    ~Gathering() {
      state_->flushes_soon_ = flushed_soon_;
      contain([this] { state_->flush(); });
      contain([this] {
        if (state_->answers_.empty()) return state_->go_on();
        boost::asio::post(state_->news_.get_executor(), [state = state_] { state->give_answers(); });
      });
    }

   private:
    std::shared_ptr<MembershipState> state_;
    bool flushed_soon_;  ///< before
  };

  /// A question goes at once; what is asked while others are under way, in one write for each turn of the loop.
  error_code put(std::string_view line) {
    if (!correspondence_) return no_channel();
    if (correspondence_->add(line) == Channel::Sent::full) return boost::asio::error::no_buffer_space;
    if (flushes_soon_) return {};
    if (questions_.empty()) {
      contain([this] { flush(); });
      return {};
    }
    flushes_soon_ = true;
    boost::asio::post(news_.get_executor(), [self = shared_from_this()] {
      self->flushes_soon_ = false;
      self->contain([&] { self->flush(); });
    });
    return {};
  }

  void keep(boost::json::value message) {
    if (wants_messages_ || messages_.size() < most_kept) return messages_.push_back(std::move(message));
    if (!std::exchange(has_dropped_, true))
      complain("messages come, and the program receives none: those beyond the first 64 are dropped");
  }

  void end_channel() {
    had_channel_ = true;
    watch_.reset();
    correspondence_.reset();
    questions_.fail(boost::asio::error::eof);
    wake();
    drain();
  }

  void flush() {
    if (!correspondence_ || !watch_ || has_left_ || is_closed_) return;
    if (correspondence_->flush() != Channel::Sent::queued || std::exchange(is_flushing_, true)) return;
    watch_->async_wait(watch_->wait_write, [self = shared_from_this()](error_code error) {
      self->is_flushing_ = false;
      if (!error) self->flush();
    });
  }

  /// Four times within the time that the master's patience has.
  void beat() {
    if (watchdog_.count() == 0 || has_left_ || is_closed_) return;
    const auto now = std::chrono::steady_clock::now();
    const auto time = std::chrono::ceil<std::chrono::milliseconds>(now.time_since_epoch());
    counters_.set(Metric::last_beat, static_cast<std::uint64_t>(time.count()));
    if (correspondence_ && !counters_.is_attached() && !correspondence_->has_unsent()) correspondence_->say_alive();
    notifier_.tell("WATCHDOG=1");
    beat_.expires_at(now + watchdog_ / 4);
    beat_.async_wait([self = shared_from_this()](error_code error) {
      if (!error) self->beat();
    });
  }

  void leave_if_done() {
    const bool has_business = open_ > 0 || !connections_.empty() || !questions_.empty() || !answers_.empty();
    if (is_draining_ && !has_left_ && !has_business) let_go();
  }

  /// For business that came after it had left.
  void stay() {
    if (!std::exchange(has_left_, false)) return;
    flush();
    await_news();
    beat();
  }

  /// Nothing of this keeps the program's loop running any more.
  void let_go() {
    has_left_ = true;
    error_code ignored;
    if (watch_) watch_->cancel(ignored);
    cancel_signals();
    beat_.cancel();
    wake();
  }

  /// They stay caught: whoever was asked to drain may be asked again.
  void cancel_signals() {
    error_code ignored;
    if (signals_) signals_->cancel(ignored);
  }

  void complain(const std::string& fault) const {
    if (options_.on_fault) return options_.on_fault(fault);
    static_cast<void>(std::fprintf(stderr, "from the master: %s\n", fault.c_str()));
  }

  MembershipOptions options_;
  Notifier notifier_;
  std::chrono::microseconds watchdog_;
  bool is_alone_;
  int number_;
  Counters counters_;
  std::optional<Correspondence> correspondence_;
  std::optional<boost::asio::posix::stream_descriptor> watch_;  ///< a descriptor of its own for the channel
  std::optional<boost::asio::signal_set> signals_;
  boost::asio::steady_timer news_;  ///< never expires; is cancelled when there is something that was waited for
  boost::asio::steady_timer beat_;
  std::deque<GivenListener> listeners_;
  std::deque<Fd> connections_;
  std::deque<boost::json::value> messages_;
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
  bool wants_messages_ = false;
  bool has_dropped_ = false;
};

}  // namespace baton
