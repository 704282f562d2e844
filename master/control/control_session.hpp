// Master. One connection to the control socket: a coroutine, which reads a request, has it done, and writes the answer.
// A session is owned by its coroutine, and reaches the master only through its group, which may cut it off.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/fd.hpp"
#include "master/control/commands.hpp"
#include "master/control/control.hpp"
#include "master/control/control_request.hpp"
#include "master/control/event_feed.hpp"
#include "master/control/reply.hpp"

namespace baton {

class ControlSessions;

class ControlSession : public std::enable_shared_from_this<ControlSession> {
 public:
  using Clock = std::chrono::steady_clock;
  using Protocol = boost::asio::local::stream_protocol;

  enum class Phase : std::uint8_t {
    reading,    ///< a request, or waiting for one
    writing,    ///< an answer
    lingering,  ///< until the client has read the last answer
    waiting,    ///< for a command's end
    streaming,  ///< events
  };

  ControlSession(std::shared_ptr<ControlSessions> group, Fd connection, const boost::asio::any_io_executor& executor);
  ControlSession(const ControlSession&) = delete;
  ControlSession& operator=(const ControlSession&) = delete;
  ~ControlSession();

  boost::asio::awaitable<void> run();

  /// For the group's closing: ends what only waits, and hurries the rest.
  void finish();
  void close();

  [[nodiscard]] bool is_held() const { return phase_ == Phase::waiting || phase_ == Phase::streaming; }
  [[nodiscard]] Clock::time_point since() const { return since_; }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  boost::asio::awaitable<void> serve();
  boost::system::error_code parse_buffered();
  boost::asio::awaitable<boost::system::error_code> read_rest();
  boost::asio::awaitable<void> refuse_unread(boost::system::error_code error);
  boost::asio::awaitable<void> refuse(const Reply& reply);
  std::variant<ControlRequest, Reply> take_request();
  std::optional<Reply> reply_at_once(const std::variant<ControlRequest, Reply>& understood);
  boost::asio::awaitable<void> answer_later(const ControlRequest& request);
  void add_answer(const Reply& reply);
  void send_at_once();
  boost::asio::awaitable<void> flush();
  boost::asio::awaitable<void> send_bytes(std::string_view bytes);
  boost::asio::awaitable<void> linger();
  boost::asio::awaitable<void> stream(const ControlRequest& request);
  boost::asio::awaitable<void> sleep();

  [[nodiscard]] bool is_allowed();
  std::optional<Reply> begin(const ControlRequest& request);
  void on_event();
  void watch_for_hang_up();
  void enter(Phase phase, std::chrono::milliseconds time);
  void enter_held(Phase phase);
  void ring_at(Clock::time_point moment);
  void on_deadline();
  void wake() { wake_.cancel(); }

  std::shared_ptr<ControlSessions> group_;
  Protocol::socket socket_;
  boost::asio::steady_timer deadline_;  ///< rings no later than over_at_; expires never where it is not to ring
  boost::asio::steady_timer wake_;      ///< never expires: its cancelling wakes who waits for an outcome or an event
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::optional<Outcome> outcome_;
  std::optional<EventFeed> feed_;
  std::string answers_;  ///< not sent yet
  Phase phase_ = Phase::reading;
  Clock::time_point since_ = Clock::now();  ///< the phase's beginning
  Clock::time_point over_at_;               ///< of a phase that has a limit: its end
  bool timed_out_ = false;
  bool keeps_alive_ = true;
};

}  // namespace baton
