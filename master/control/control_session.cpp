// Master. The life of a control connection.
#include "master/control/control_session.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <exception>
#include <utility>

#include "common/log.hpp"
#include "master/control/control_sessions.hpp"
#include "master/control/execute_request.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

using boost::system::error_code;

constexpr std::uint32_t most_header = 8 * 1024;
constexpr std::uint64_t most_body = (std::uint64_t{1} << 20) + 1024;  // the longest message, and what is around it
constexpr std::size_t most_buffered = std::size_t{16} * 1024;
constexpr std::size_t usually_read = std::size_t{4} * 1024;
// As soon as so much is there, it is sent.
constexpr std::size_t most_gathered = std::size_t{64} * 1024;
constexpr std::chrono::milliseconds lingering_time{1000};
constexpr std::chrono::milliseconds until_cancelled_again{20};

bool is_too_long(const error_code& error) {
  return error == http::error::header_limit || error == http::error::buffer_overflow;
}

Reply too_many_wait(std::size_t most) {
  return reply_with(
      503, false,
      fmt::format("{} connections wait for a command or hear events already (wait=no asks without waiting)", most));
}

}  // namespace

ControlSession::ControlSession(std::shared_ptr<ControlSessions> group, Fd connection,
                               const asio::any_io_executor& executor)
    : group_(std::move(group)),
      socket_(executor),
      deadline_(executor, Clock::time_point::max()),
      wake_(executor, Clock::time_point::max()),
      buffer_(most_buffered) {
  // Beast would read 512 bytes and then the rest, and the answers would go out in two pieces as well.
  buffer_.reserve(usually_read);
  socket_.assign(Protocol(), connection.get());
  static_cast<void>(connection.release());
  socket_.non_blocking(true);
}

ControlSession::~ControlSession() {
  group_->forget(*this);
}

void ControlSession::close() {
  if (feed_) feed_->end();
  error_code ignored;
  socket_.close(ignored);
  deadline_.cancel();
  wake();
  group_->forget(*this);
  group_->rest();
}

void ControlSession::finish() {
  if (phase_ == Phase::reading || phase_ == Phase::lingering) return close();
  wake();
}

void ControlSession::enter(Phase phase, std::chrono::milliseconds time) {
  phase_ = phase;
  since_ = Clock::now();
  over_at_ = since_ + time;
  if (over_at_ < deadline_.expiry()) ring_at(over_at_);
}

/// The timer is not set anew with each phase: hardly any lasts until it rings, and then it is put off to where it is.
void ControlSession::ring_at(Clock::time_point moment) {
  deadline_.expires_at(moment);
  deadline_.async_wait([session = weak_from_this()](const error_code& cancelled) {
    const auto self = session.lock();
    if (!cancelled && self) self->on_deadline();
  });
}

void ControlSession::enter_held(Phase phase) {
  phase_ = phase;
  since_ = Clock::now();
}

void ControlSession::on_deadline() {
  deadline_.expires_at(Clock::time_point::max());
  if (is_held()) return;
  if (over_at_ > Clock::now()) return ring_at(over_at_);
  if (phase_ != Phase::reading) return close();
  timed_out_ = true;
  error_code ignored;
  socket_.cancel(ignored);
  // A read that had ended just now is not cancelled, and is followed by the next.
  enter(Phase::reading, until_cancelled_again);
}

/// By the socket itself, and before a word is read. Others can't reach the file, but it may have been given away.
bool ControlSession::is_allowed() {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1) return false;
  return peer.uid == 0 || peer.uid == ::geteuid() || group_->access().account == peer.uid;
}

asio::awaitable<void> ControlSession::run() {
  const auto self = shared_from_this();
  try {
    co_await serve();
  } catch (const std::exception& error) {
    log::warning("a control connection is dropped: {}", error.what());
  }
  close();
}

asio::awaitable<void> ControlSession::serve() {
  if (!is_allowed()) {
    const Reply reply = reply_with(403, false, "only root, the master's own user and its workers may use this socket");
    co_await refuse(reply);
    co_return;
  }
  while (keeps_alive_ && socket_.is_open() && !group_->is_closing()) {
    error_code error = parse_buffered();
    if (!error && !parser_->is_done()) error = co_await read_rest();
    keeps_alive_ = !error && parser_->keep_alive();
    if (error) co_return co_await refuse_unread(error);
    const auto understood = take_request();
    if (const auto reply = reply_at_once(understood))
      add_answer(*reply);
    else
      co_await answer_later(std::get<ControlRequest>(understood));
    if (!keeps_alive_ || buffer_.size() == 0 || answers_.size() >= most_gathered) co_await flush();
  }
  co_await flush();
}

/// Of requests that came in one read those behind the first cost no system call, no timer and no coroutine, and their
/// answers go out together.
error_code ControlSession::parse_buffered() {
  parser_.emplace();
  timed_out_ = false;
  parser_->header_limit(most_header);
  parser_->body_limit(most_body);
  error_code error;
  if (buffer_.size() == 0) return error;
  parser_->eager(true);
  buffer_.consume(parser_->put(buffer_.data(), error));
  return error == http::error::need_more ? error_code() : error;
}

asio::awaitable<error_code> ControlSession::read_rest() {
  co_await flush();  // before a wait for what may depend on them
  enter(Phase::reading, group_->limits().request);
  error_code error;
  co_await http::async_read_header(socket_, buffer_, *parser_, asio::redirect_error(asio::use_awaitable, error));
  if (error || parser_->is_done()) co_return error;
  if (boost::beast::iequals(parser_->get()[http::field::expect], "100-continue"))
    co_await send_bytes("HTTP/1.1 100 Continue\r\n\r\n");
  co_await http::async_read(socket_, buffer_, *parser_, asio::redirect_error(asio::use_awaitable, error));
  co_return error;
}

asio::awaitable<void> ControlSession::refuse_unread(error_code error) {
  Reply reply;
  if (timed_out_ && parser_->got_some())
    reply = reply_with(408, false, fmt::format("no whole request came within {} ms", group_->limits().request.count()));
  else if (error == http::error::body_limit)
    reply = reply_with(413, false, fmt::format("the body is longer than {} bytes", most_body));
  else if (is_too_long(error) && !parser_->is_header_done())
    reply = reply_with(431, false, fmt::format("the header is longer than {} bytes", most_header));
  else if (error == http::error::partial_message)
    reply = reply_with(400, false, "the request ends in the middle");
  else if (error != http::error::end_of_stream &&
           error.category() == http::make_error_code(http::error::partial_message).category())
    reply = reply_with(400, false, fmt::format("this is not HTTP: {}", error.message()));
  else
    co_return;  // nothing was asked, or nobody is there to hear
  co_await refuse(reply);
}

asio::awaitable<void> ControlSession::refuse(const Reply& reply) {
  keeps_alive_ = false;
  add_answer(reply);
  co_await flush();
  if (socket_.is_open() && !group_->is_closing()) co_await linger();
}

std::variant<ControlRequest, Reply> ControlSession::take_request() {
  // From here on there is an answer to come: what the command does may end in close(), before it returns.
  phase_ = Phase::writing;
  const auto& request = parser_->get();
  const std::string_view method(request.method_string().data(), request.method_string().size());
  const std::string_view target(request.target().data(), request.target().size());
  return parse_request(group_->access().audience, method, target, request.body());
}

/// Nothing where the answer is to be waited for; a command has been called then.
std::optional<Reply> ControlSession::reply_at_once(const std::variant<ControlRequest, Reply>& understood) {
  if (const auto* refusal = std::get_if<Reply>(&understood)) return *refusal;
  const auto& request = std::get<ControlRequest>(understood);
  if (!is_stream(request)) return begin(request);
  if (!group_->has_room_to_wait()) return too_many_wait(group_->limits().waiting);
  return std::nullopt;
}

asio::awaitable<void> ControlSession::answer_later(const ControlRequest& request) {
  if (is_stream(request)) co_return co_await stream(request);
  if (!outcome_) co_await flush();
  enter_held(Phase::waiting);
  watch_for_hang_up();
  while (!outcome_ && socket_.is_open()) co_await sleep();
  error_code ignored;
  socket_.cancel(ignored);  // the watch
  if (outcome_) add_answer(reply_of(*outcome_));
}

/// The reply where there is one at once.
std::optional<Reply> ControlSession::begin(const ControlRequest& request) {
  Commands* const commands = group_->commands();
  if (commands == nullptr) return reply_with(503, false, "the master is ending");
  if (is_awaited(request) && !group_->has_room_to_wait()) return too_many_wait(group_->limits().waiting);
  outcome_.reset();
  return execute(request, *commands, group_->access().audience, [session = weak_from_this()](const Outcome& outcome) {
    const auto self = session.lock();
    if (!self) return;
    self->outcome_ = outcome;
    self->wake();
  });
}

asio::awaitable<void> ControlSession::sleep() {
  error_code ignored;
  co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

/// A client that has only ended its sending still waits for an answer; one that is gone holds a place for nothing.
void ControlSession::watch_for_hang_up() {
  socket_.async_wait(Protocol::socket::wait_error, [session = weak_from_this()](const error_code& cancelled) {
    const auto self = session.lock();
    if (!cancelled && self) self->close();
  });
}

void ControlSession::add_answer(const Reply& reply) {
  keeps_alive_ = keeps_alive_ && !group_->is_closing();
  const bool has_request = parser_ && parser_->is_header_done();
  ReplyForm form;
  form.keeps_alive = keeps_alive_;
  form.is_old = has_request && parser_->get().version() < 11;
  form.has_body = !has_request || parser_->get().method() != http::verb::head;
  append_http(answers_, reply, form);
}

/// What the socket takes, which is all where the client reads: that costs no timer and no turn of the loop.
void ControlSession::send_at_once() {
  error_code error;
  answers_.erase(0, socket_.write_some(asio::buffer(answers_), error));
  if (error && error != asio::error::would_block) close();
}

asio::awaitable<void> ControlSession::flush() {
  if (!answers_.empty() && socket_.is_open()) send_at_once();
  if (answers_.empty() || !socket_.is_open()) co_return;
  enter(Phase::writing, group_->limits().sending);
  const std::string bytes = std::exchange(answers_, {});
  co_await send_bytes(bytes);
}

asio::awaitable<void> ControlSession::send_bytes(std::string_view bytes) {
  error_code error;
  co_await asio::async_write(socket_, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
  if (error) close();
}

/// A close with unread bytes in the socket would make the client's reading fail, perhaps before it has the answer.
asio::awaitable<void> ControlSession::linger() {
  enter(Phase::lingering, lingering_time);
  error_code error;
  socket_.shutdown(Protocol::socket::shutdown_send, error);
  std::array<char, 4096> thrown_away{};
  while (!error)
    co_await socket_.async_read_some(asio::buffer(thrown_away), asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<void> ControlSession::stream(const ControlRequest& request) {
  keeps_alive_ = false;
  co_await flush();
  if (group_->commands() == nullptr) co_return;
  // Heard from before the answer's first byte: whoever has that byte misses nothing that comes after it.
  Events& events = request.watch ? group_->commands()->changes() : group_->commands()->events();
  feed_.emplace(events, request.operation.key, [this] { on_event(); });
  enter_held(Phase::streaming);
  watch_for_hang_up();
  const bool is_chunked = parser_->get().version() > 10;
  co_await send_bytes(is_chunked
                          ? "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n"
                          : "HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store\r\n"
                            "Connection: close\r\n\r\n");
  while (socket_.is_open() && !(group_->is_closing() && feed_->empty())) {
    if (feed_->empty()) {
      co_await sleep();
      continue;
    }
    const std::string piece = feed_->take_piece(is_chunked);
    co_await send_bytes(piece);
  }
  if (socket_.is_open() && is_chunked) co_await send_bytes("0\r\n\r\n");
}

void ControlSession::on_event() {
  if (feed_->size() <= group_->limits().unread_events) return wake();
  log::warning("a client of the control socket does not read its events and is dropped");
  close();
}

}  // namespace baton
