// Worker. The life of one connection.
#include "worker/session.hpp"

#include <sys/socket.h>

#include <utility>

#include "worker/sessions.hpp"

namespace baton {

using http::RequestParser;

Session::Session(Sessions& group, Fd connection, Holders holders)
    : group_(group), connection_(std::move(connection)), holders_(holders) {}

void Session::wait_for(Wait wait) {
  wait_ = wait;
  was_reprieved_ = false;
  group_.schedule(*this, wait);
}

void Session::watch(std::uint32_t events) {
  const std::uint32_t before = std::exchange(watched_, events);
  if (before == events) return;
  if (before == 0) return group_.poller().add(connection_, events, *this);
  group_.poller().modify(connection_, events, *this);
}

void Session::on_events(std::uint32_t /*events*/) {
  if (wait_ == Wait::send) return send(std::string(std::move(output_)));
  if (wait_ == Wait::linger) return discard();
  static_cast<void>(read());
}

void Session::on_deadline() {
  // What has come by now came in time, though this process may have been stopped, or busy with others, since. But once
  // only: a client that sends without end gets no more time by it.
  const bool is_receiving = wait_ != Wait::send && wait_ != Wait::linger;
  if (is_receiving && !std::exchange(was_reprieved_, true) && has_unread()) {
    static_cast<void>(read());
    return;
  }
  if ((wait_ == Wait::header || wait_ == Wait::body) && parser_) {
    std::string& out = group_.write_buffer();
    out.clear();
    fail(408, *parser_, out);
    return send(out);
  }
  // A request that leaves the client at this very moment is to meet the end of the stream, not a reset.
  if (wait_ == Wait::grace) return linger();
  close();
}

bool Session::has_unread() const {
  char next = 0;
  return ::recv(connection_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

bool Session::read() {
  const std::span<char> buffer = group_.read_buffer();
  const ssize_t count = ::recv(connection_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count == -1 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {
    if (count == -1) group_.counters().add(Metric::errors);
    close();
    return true;
  }

  std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
  if (!input_.empty()) bytes = input_.append(bytes);
  // A full buffer means that more may wait in the socket, which a close would answer with a reset.
  client_may_send_ = static_cast<std::size_t>(count) == buffer.size();

  std::string& out = group_.write_buffer();
  out.clear();
  const std::size_t used = answer(bytes, out);
  if (closing_) {
    client_may_send_ = client_may_send_ || used < bytes.size();
    input_ = {};
  } else if (used == bytes.size()) {
    input_ = {};
  } else {
    input_ = std::string(bytes.substr(used));
  }
  if (!out.empty()) send(out);
  return true;
}

/// Answers every whole request in `bytes` and keeps the parser of one that has begun. Returns the bytes done with.
std::size_t Session::answer(std::string_view bytes, std::string& out) {
  std::size_t used = 0;
  std::optional<LastAnswer> last;
  while (used < bytes.size() && !closing_) {
    std::unique_ptr<RequestParser> resumed = std::move(parser_);
    RequestParser fresh(group_.limits());
    RequestParser& parser = resumed ? *resumed : fresh;
    const RequestParser::Step step = parser.feed(bytes.substr(used));
    used += step.used;
    if (step.state == RequestParser::State::failed) {
      fail(step.status, parser, out);
    } else if (step.state == RequestParser::State::complete) {
      last = LastAnswer{out.size(), parser.is_head()};
      answer_complete(parser, out);
    } else {
      if (parser.has_begun()) {
        if (!resumed) resumed = std::make_unique<RequestParser>(std::move(fresh));
        need_more(std::move(resumed), bytes.size() - used, out);
      }
      break;
    }
  }
  if (last && !closing_ && group_.is_draining()) turn_into_last(*last, out);
  return used;
}

/// In a draining worker the last answer to what has been read says that the connection closes.
void Session::turn_into_last(const LastAnswer& last, std::string& out) {
  out.resize(last.begin);
  group_.answers().append_pid(out, http::After::close, last.is_head);
  parser_.reset();
  closing_ = true;
  client_may_send_ = true;
}

void Session::answer_complete(const RequestParser& parser, std::string& out) {
  const bool keep = parser.keeps_alive();
  const http::After kept = parser.is_http_1_0() ? http::After::keep_1_0 : http::After::keep;
  group_.counters().add(Metric::requests);
  group_.answers().append_pid(out, keep ? kept : http::After::close, parser.is_head());
  continued_ = false;
  if (keep) return wait_for(Wait::idle);
  closing_ = true;
}

void Session::need_more(std::unique_ptr<RequestParser>&& parser, std::size_t unused, std::string& out) {
  // Beast bounds the header; in a body only chunk headers and trailers can make us keep bytes, and without bound.
  if (unused > group_.limits().header) return fail(parser->has_header() ? 400 : 431, *parser, out);
  if (parser->has_header()) {
    if (wait_ != Wait::body) wait_for(Wait::body);
    if (parser->expects_continue() && !std::exchange(continued_, true)) http::Answers::append_continue(out);
  } else if (wait_ != Wait::header) {
    wait_for(Wait::header);
  }
  parser_ = std::move(parser);
}

void Session::fail(unsigned status, const RequestParser& parser, std::string& out) {
  group_.counters().add(Metric::errors);
  group_.answers().append_error(out, status, parser.is_head());
  closing_ = true;
  client_may_send_ = true;
}

void Session::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count == -1 && errno == EINTR) continue;
    if (count == -1 && errno == EAGAIN) return block_sending(bytes);
    if (count == -1) {
      group_.counters().add(Metric::errors);
      return close();
    }
    group_.counters().add(Metric::bytes, static_cast<std::uint64_t>(count));
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  after_sending();
}

/// The client doesn't read: nothing more is read from it, either, until it does.
void Session::block_sending(std::string_view unsent) {
  output_ = std::string(unsent);
  watch(EPOLLOUT);
  wait_for(Wait::send);
}

void Session::after_sending() {
  const bool was_blocked = wait_ == Wait::send;
  if (closing_) {
    if (!client_may_send_) return close();
    return linger();
  }
  if (!was_blocked) return;
  watch(EPOLLIN);
  if (!parser_) return wait_for(group_.is_draining() ? Wait::grace : Wait::idle);
  wait_for(parser_->has_header() ? Wait::body : Wait::header);
}

/// Half a close: the client reads the answer to its end, while what it still sends is read and thrown away. A full
/// close with unread bytes in the socket makes the kernel send a reset, which can overtake the answer.
void Session::linger() {
  ::shutdown(connection_.get(), SHUT_WR);
  watch(EPOLLIN);
  wait_for(Wait::linger);
}

void Session::discard() {
  const std::span<char> buffer = group_.read_buffer();
  const ssize_t count = ::recv(connection_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count == -1 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) close();
}

void Session::close() {
  group_.close(*this);
}

}  // namespace baton
