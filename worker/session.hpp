// Worker. One connection: read, answer, keep alive, close without a reset. Owns the connection's descriptor, which may
// be a blocking one: each call says for itself that it does not wait. Between requests it holds no buffer: reading and
// writing go through those that all sessions share.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/fd.hpp"
#include "worker/http.hpp"
#include "worker/poller.hpp"

namespace baton {

class Sessions;

/// Who has a connection's descriptor.
enum class Holders : std::uint8_t {
  alone,   ///< this process: closing it is enough
  shared,  ///< the master that sent it too, for a while: then only shutdown(2) reaches the client
};

/// What a session waits for. Each has one duration for all sessions, so that a queue in order of arrival is in order
/// of expiry too.
enum class Wait : std::uint8_t {
  header,  ///< the rest of a request's header, or a new connection's first byte
  body,    ///< the rest of a request's body
  idle,    ///< the next request
  send,    ///< room in the socket for an answer
  linger,  ///< the client's end of file, after the last answer
  grace,   ///< in a draining worker: a request that may be on the wire already
};
constexpr std::size_t wait_count = 6;

using DeadlineHook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

class Session final : public EventHandler, public DeadlineHook {
 public:
  using Clock = std::chrono::steady_clock;

  Session(Sessions& group, Fd connection, Holders holders);
  ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const Fd& connection() const { return connection_; }
  [[nodiscard]] Holders holders() const { return holders_; }
  [[nodiscard]] bool is_resting() const { return !parser_ && (wait_ == Wait::header || wait_ == Wait::idle); }

  // All of these may end with the session closed and destroyed.
  void on_events(std::uint32_t events) override;
  void on_deadline();
  /// False where nothing has come.
  bool read();

  void wait_for(Wait wait);
  /// Has the poller wake it. A session that ends before it has to wait costs no call of epoll.
  void watch(std::uint32_t events);
  [[nodiscard]] bool is_watched() const { return watched_ != 0; }

  Clock::time_point expires;          ///< set by wait_for()
  std::list<Session>::iterator self;  ///< set by the group, which owns all sessions

 private:
  /// Where in the bytes to be sent it begins, and what it is to.
  struct LastAnswer {
    std::size_t begin = 0;
    bool is_head = false;
  };

  [[nodiscard]] bool has_unread() const;
  void turn_into_last(const LastAnswer& last, std::string& out);
  std::size_t answer(std::string_view bytes, std::string& out);
  void answer_complete(const http::RequestParser& parser, std::string& out);
  void need_more(std::unique_ptr<http::RequestParser>&& parser, std::size_t unused, std::string& out);
  void fail(unsigned status, const http::RequestParser& parser, std::string& out);
  void send(std::string_view bytes);
  void block_sending(std::string_view unsent);
  void after_sending();
  void linger();
  void discard();
  void close();

  Sessions& group_;
  Fd connection_;
  Holders holders_;
  std::unique_ptr<http::RequestParser> parser_;  ///< while a request has begun and not ended
  std::string input_;                            ///< received and not yet understood
  std::string output_;                           ///< not yet taken by the socket
  Wait wait_ = Wait::header;
  std::uint32_t watched_ = 0;     ///< events that the poller wakes it for
  bool closing_ = false;          ///< no request is read any more
  bool client_may_send_ = false;  ///< when closing: bytes may be on the way, whose arrival would answer with a reset
  bool was_reprieved_ = false;    ///< its deadline has passed, and it was read from once more
  bool continued_ = false;        ///< "100 Continue" has been said for the request in parser_
};

}  // namespace baton
