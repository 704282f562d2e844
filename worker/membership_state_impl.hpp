// Any program that links the library. What is declared in membership_state.hpp, which includes this: how the channel is
// read and written in the program's loop, and when there is nothing left that keeps the loop running.
#pragma once

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include "worker/membership_state.hpp"

namespace baton {

inline MembershipState::MembershipState(const boost::asio::any_io_executor& executor, MembershipOptions options,
                                        Inheritance inherited)
    : options_(std::move(options)),
      notifier_(std::move(inherited.notifier)),
      watchdog_(inherited.watchdog),
      is_alone_(!inherited.channel && inherited.listeners.empty()),
      number_(inherited.number),
      news_(executor, boost::asio::steady_timer::time_point::max()),
      beat_(executor) {
  inbox_.add(std::move(inherited.listeners));
  if (inherited.channel) {
    master_.emplace(std::move(*inherited.channel), counters_);
    Fd copy = master_->socket().duplicate();
    watch_.emplace(executor, copy.get());
    static_cast<void>(copy.release());
  }
  if (options_.takes_signals) signals_.emplace(executor, SIGTERM, SIGINT, SIGQUIT);
}

/// For destructors, which nothing may leave: a channel that is broken is found so again when it is read.
template <class Run>
void MembershipState::contain(Run run) noexcept {
  try {
    run();
  } catch (const std::exception& error) {
    static_cast<void>(std::fprintf(stderr, "a worker's channel: %s\n", error.what()));
  }
}

template <class Value>
MembershipState::Found<Value> MembershipState::found(std::optional<Value> value) {
  if (!value) return std::nullopt;
  await_news();  // there is room for more
  return std::tuple(error_code{}, std::move(*value));
}

inline void MembershipState::begin() {
  await_news();
  flush();
  beat();
  if (!signals_) return;
  signals_->async_wait([self = shared_from_this()](error_code error, int) {
    if (!error) self->drain();
  });
}

inline void MembershipState::close() noexcept {
  is_closed_ = true;
  contain([this] {
    questions_.fail(boost::asio::error::operation_aborted);
    let_go();
  });
}

inline void MembershipState::say_ready() {
  if (std::exchange(is_ready_, true)) return;
  if (master_) master_->say_ready();
  flush();
  notifier_.tell_surely("READY=1");
}

inline void MembershipState::drain() {
  if (std::exchange(is_draining_, true)) return;
  if (master_) master_->set_draining();
  notifier_.tell("STOPPING=1");
  cancel_signals();
  wake();
  // Behind those who were woken, who may yet accept what is queued.
  boost::asio::post(news_.get_executor(), [self = shared_from_this()] { self->leave_if_done(); });
}

inline std::optional<std::int64_t> MembershipState::ask(const std::string& unnumbered,
                                                        std::unique_ptr<Question> question) {
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

inline void MembershipState::cancel(std::int64_t id) {
  const auto question = questions_.take(id);
  if (!question) return;
  question->fail(boost::asio::error::operation_aborted);
  leave_if_done();
}

inline MembershipState::error_code MembershipState::send(std::string_view line) {
  if (!master_) return boost::asio::error::not_connected;
  const Channel::Sent sent = master_->send(line);
  flush();
  if (sent == Channel::Sent::full) return boost::asio::error::no_buffer_space;
  return sent == Channel::Sent::closed ? boost::asio::error::broken_pipe : error_code{};
}

inline void MembershipState::ask_to_retire(std::string_view why) {
  if (master_) master_->ask_to_retire(why);
  flush();
}

inline void MembershipState::tell_status(std::string_view text) const {
  notifier_.tell("STATUS=" + std::string(text.substr(0, text.find('\n'))));
}

inline void MembershipState::count_opened() {
  counters_.add(Metric::accepted);
  counters_.set(Metric::open, ++open_);
  stay();
}

inline void MembershipState::count_closed() noexcept {
  counters_.set(Metric::open, --open_);
  contain([this] {
    if (master_) master_->tell_open(open_ + inbox_.connections());
    flush();
    leave_if_done();
  });
}

inline MembershipState::Found<GivenListener> MembershipState::next_listener() {
  if (is_over()) return aborted<GivenListener>();
  if (is_alone_) return std::tuple(error_code(boost::asio::error::not_connected), GivenListener{});
  return found(inbox_.next_listener());
}

inline MembershipState::Found<Fd> MembershipState::next_connection() {
  if (auto next = found(inbox_.next_connection())) return next;
  if (is_over()) return aborted<Fd>();
  if (!master_) return std::tuple(error_code(boost::asio::error::not_connected), Fd{});
  return std::nullopt;
}

inline MembershipState::Found<boost::json::value> MembershipState::next_message() {
  if (auto next = found(inbox_.next_message())) return next;
  if (is_closed_) return aborted<boost::json::value>();
  if (!master_) return std::tuple(no_channel(), boost::json::value());
  if (has_left_) return aborted<boost::json::value>();
  return std::nullopt;
}

inline std::optional<std::tuple<MembershipState::error_code>> MembershipState::drain_request() const {
  if (is_draining_) return std::tuple(error_code{});
  if (is_closed_) return std::tuple(error_code(boost::asio::error::operation_aborted));
  return std::nullopt;
}

inline void MembershipState::await_news() {
  if (!watch_ || has_ended_ || has_left_ || is_closed_ || inbox_.is_full() || std::exchange(is_reading_, true)) return;
  watch_->async_wait(watch_->wait_read, [self = shared_from_this()](error_code error) {
    self->is_reading_ = false;
    if (error == boost::asio::error::operation_aborted) return self->await_news();  // it may have been resumed since
    if (!error) self->read();
  });
}

inline void MembershipState::read() {
  if (!master_) return;
  MasterChannel::News news;
  try {
    news = master_->read();
  } catch (const std::system_error& error) {
    news.faults.emplace_back(error.what());
    news.has_ended = true;
  }
  for (const std::string& each : news.faults) complain(each);
  inbox_.add(std::move(news.listeners));
  inbox_.add(std::move(news.connections));
  for (boost::json::object& each : news.answers) answers_.push_back(std::move(each));
  for (boost::json::value& each : news.messages) keep(std::move(each));
  has_ended_ = has_ended_ || news.has_ended;
  wake();
  give_answers();
}

/// As long as one exists, what is put waits for its end. Of the answers that a handler's exception leaves behind
/// none is lost.
class MembershipState::Gathering {
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

/// Whoever asked runs in here, which saves a turn of the loop, and what they ask next goes out in one write.
inline void MembershipState::give_answers() {
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
inline void MembershipState::go_on() {
  if (std::exchange(has_ended_, false))
    end_channel();
  else
    await_news();
  leave_if_done();
}

/// A question goes at once; what is asked while others are under way, in one write for each turn of the loop.
inline MembershipState::error_code MembershipState::put(std::string_view line) {
  if (!master_) return no_channel();
  if (master_->add(line) == Channel::Sent::full) return boost::asio::error::no_buffer_space;
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

inline void MembershipState::keep(boost::json::value message) {
  if (!inbox_.add(std::move(message)) && !std::exchange(has_dropped_, true))
    complain("messages come, and the program receives none: those beyond the first 64 are dropped");
}

inline void MembershipState::end_channel() {
  had_channel_ = true;
  watch_.reset();
  master_.reset();
  questions_.fail(boost::asio::error::eof);
  wake();
  drain();
}

inline void MembershipState::flush() {
  if (!master_ || !watch_ || has_left_ || is_closed_) return;
  if (master_->flush() != Channel::Sent::queued || std::exchange(is_flushing_, true)) return;
  watch_->async_wait(watch_->wait_write, [self = shared_from_this()](error_code error) {
    self->is_flushing_ = false;
    if (!error) self->flush();
  });
}

/// Four times within the time that the master's patience has.
inline void MembershipState::beat() {
  if (watchdog_.count() == 0 || has_left_ || is_closed_) return;
  const auto now = std::chrono::steady_clock::now();
  const auto time = std::chrono::ceil<std::chrono::milliseconds>(now.time_since_epoch());
  counters_.set(Metric::last_beat, static_cast<std::uint64_t>(time.count()));
  if (master_ && !counters_.is_attached() && !master_->has_unsent()) master_->say_alive();
  notifier_.tell("WATCHDOG=1");
  beat_.expires_at(now + watchdog_ / 4);
  beat_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->beat();
  });
}

inline void MembershipState::leave_if_done() {
  const bool has_business = open_ > 0 || inbox_.connections() > 0 || !questions_.empty() || !answers_.empty();
  if (is_draining_ && !has_left_ && !has_business) let_go();
}

/// For business that came after it had left.
inline void MembershipState::stay() {
  if (!std::exchange(has_left_, false)) return;
  flush();
  await_news();
  beat();
}

/// Nothing of this keeps the program's loop running any more.
inline void MembershipState::let_go() {
  has_left_ = true;
  error_code ignored;
  if (watch_) watch_->cancel(ignored);
  cancel_signals();
  beat_.cancel();
  wake();
}

/// They stay caught: whoever was asked to drain may be asked again.
inline void MembershipState::cancel_signals() {
  error_code ignored;
  if (signals_) signals_->cancel(ignored);
}

inline void MembershipState::complain(const std::string& fault) const {
  if (options_.on_fault) return options_.on_fault(fault);
  static_cast<void>(std::fprintf(stderr, "from the master: %s\n", fault.c_str()));
}

/// The master has gone, or there was none.
inline MembershipState::error_code MembershipState::no_channel() const {
  return had_channel_ ? error_code(boost::asio::error::eof) : error_code(boost::asio::error::not_connected);
}

}  // namespace baton
