// Worker. All open connections, with what they share: buffers, the rendered answers, the deadlines.
#pragma once

#include <array>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <string>

#include "common/scoreboard.hpp"
#include "common/worker_settings.hpp"
#include "worker/http.hpp"
#include "worker/poller.hpp"
#include "worker/session.hpp"

namespace baton {

class Sessions {
 public:
  using Clock = Session::Clock;

  /// `on_closed` runs after each close, from within the event that caused it.
  Sessions(Poller& poller, Counters& counters, const WorkerSettings& settings, std::function<void()> on_closed);
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;
  ~Sessions() = default;

  /// Serves a connected, non-blocking stream socket until it closes. Drops it where epoll has no room for it.
  void adopt(Fd connection, Holders holders = Holders::alone);

  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] bool is_full() const { return all_.size() >= max_connections_; }
  [[nodiscard]] std::size_t room() const { return is_full() ? 0 : max_connections_ - all_.size(); }

  /// From now on every answer closes its connection, and connections at rest get a moment and then end.
  void drain();
  [[nodiscard]] bool is_draining() const { return draining_; }

  /// To be called after every wait, before handlers run on: takes the time once for all of them.
  void set_time(Clock::time_point now, std::time_t wall_clock);
  void expire();
  [[nodiscard]] std::optional<std::chrono::milliseconds> until_next_deadline() const;

  // For Session:
  [[nodiscard]] Poller& poller() { return poller_; }
  [[nodiscard]] const http::Limits& limits() const { return limits_; }
  [[nodiscard]] const http::Answers& answers() const { return answers_; }
  [[nodiscard]] std::span<char> read_buffer() { return read_buffer_; }
  [[nodiscard]] std::string& write_buffer() { return write_buffer_; }
  [[nodiscard]] Counters& counters() { return counters_; }
  void schedule(Session& session, Wait wait);
  void close(Session& session);

 private:
  struct Queue {
    std::chrono::milliseconds duration{};
    boost::intrusive::list<Session, boost::intrusive::base_hook<DeadlineHook>,
                           boost::intrusive::constant_time_size<false>>
        sessions;
  };
  [[nodiscard]] bool is_first_read_due();
  Queue& queue(Wait wait) { return queues_.at(static_cast<std::size_t>(wait)); }
  void give_grace(Wait wait);

  Poller& poller_;
  Counters& counters_;
  http::Limits limits_;
  http::Answers answers_;
  std::size_t max_connections_;
  std::function<void()> on_closed_;
  std::array<Queue, wait_count> queues_;
  std::list<Session> all_;
  Clock::time_point now_ = Clock::now();
  bool draining_ = false;
  const Session* last_closed_ = nullptr;  ///< only to be compared
  bool first_read_paid_ = true;
  unsigned first_reads_left_out_ = 0;
  std::string write_buffer_;
  std::array<char, std::size_t{16} * 1024> read_buffer_{};
};

}  // namespace baton
