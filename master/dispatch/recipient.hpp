// Master. One worker as the dispatcher sees it: the connections that were assigned to it and that it has not
// acknowledged, in order; how they are sent, and what its answers mean. Owns these connections: this process keeps its
// descriptor of each until the worker says that it has its own, so that nothing is lost with a worker that dies.
//
// A worker that has answered the greeting gets many at once. One of Node's cluster gets one a message, several of them
// on their way, and says of each whether it takes it. Any other is taken for Node, which gets one, and the next when it
// has acknowledged that.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/channel.hpp"
#include "common/clock.hpp"
#include "common/protocol.hpp"
#include "master/dispatch/connection.hpp"

namespace baton {

class Recipient {
 public:
  /// As Channel::send_now().
  using Send = std::function<Channel::Sent(std::string_view line, std::span<const int> descriptors)>;

  struct Terms {
    bool takes_many = false;  ///< it has answered the greeting
    bool is_counted = false;  ///< what it has open matters
    std::size_t room = 1;     ///< connections that it may leave unacknowledged
    bool is_cluster = false;  ///< it speaks as Node's cluster does: serve() says what it listens on
  };
  /// Some measure of what it has open, where it does not tell.
  using Measure = std::function<std::size_t()>;

  Recipient(std::vector<const Vault*> listeners, const Terms& terms, Send send);

  [[nodiscard]] bool serves(const Origin& origin) const;
  /// Of Node's cluster: it listens there from now on, and knows that by this key.
  void serve(const Vault& listener, std::string key) { keys_.insert_or_assign(&listener, std::move(key)); }
  /// It does no more. Returns what it was to have from there.
  [[nodiscard]] std::vector<Connection> forgo(const Vault& listener);
  /// What it has open is to be measured from now on, which is nothing yet.
  void measure_by(Measure measure);
  /// Measures, where the last time is too long ago.
  void measure(TimePoint now);
  /// Whether it may be assigned one more.
  [[nodiscard]] bool has_room() const;
  /// Whether it could be, were there no bound on what it leaves unacknowledged.
  [[nodiscard]] bool is_serving() const { return !is_leaving_ && !is_blocked_ && !rests_until_; }
  /// Assigned and not acknowledged.
  [[nodiscard]] std::size_t outstanding() const { return connections_.size(); }
  [[nodiscard]] bool has_unsent() const { return sent_ < connections_.size(); }
  /// What it has, as far as is known, with what is outstanding.
  [[nodiscard]] std::size_t held() const { return open_ + connections_.size(); }

  void assign(Connection connection) { connections_.push_back(std::move(connection)); }

  /// Sends what was assigned, as far as the worker may have it now. Returns what its channel has no room for: it is
  /// blocked then, until unblock().
  [[nodiscard]] std::vector<Connection> send();
  void unblock() { is_blocked_ = false; }

  struct Verdict {
    bool is_expected = true;          ///< false: nobody asked for it, or it makes no sense
    std::vector<Connection> refused;  ///< that the worker could not take
    bool is_by_choice = false;        ///< or did not want to
  };
  /// An answer: taken, closed; of Node handle_ack, handle_nack, open, all_closed; of its cluster accepted. A worker
  /// that could not take what it was sent is given nothing for a moment.
  [[nodiscard]] Verdict hear(const protocol::Message& message, TimePoint now);

  /// It gets nothing new from now on. `then` runs once it has acknowledged what it was given, or at `latest`.
  void leave(std::function<void()> then, TimePoint latest);
  [[nodiscard]] std::vector<Connection> take_unsent();
  /// In order, those first that it may have.
  [[nodiscard]] std::vector<Connection> take_all();
  /// What leave() left to be done, if it is time for it.
  [[nodiscard]] std::function<void()> take_on_drained(TimePoint now);
  [[nodiscard]] std::function<void()> take_on_drained() { return std::exchange(on_drained_, {}); }

  /// Does what is due by itself: rests end, counts are asked for.
  void on_time(TimePoint now);
  [[nodiscard]] TimePoint next_wake() const;

 private:
  /// One that is on its way.
  struct Message {
    std::size_t count = 0;  ///< of the connections that it brings
    std::uint64_t number = 0;
    bool is_received = false;  ///< of Node's cluster: which has yet to say whether it takes it
  };

  [[nodiscard]] std::size_t next_message(std::span<int> descriptors) const;
  Channel::Sent send_next(std::span<const int> handles);
  Verdict hear_cluster(const protocol::Message& message, TimePoint now);
  std::vector<Connection> take_message(const std::deque<Message>::iterator& message);
  void refuse(std::vector<Connection> connections, TimePoint now, Verdict& verdict);
  Verdict on_taken(std::size_t count, TimePoint now);
  bool on_closed(std::size_t count);
  bool on_count(std::size_t count);
  bool on_all_closed();
  void ask(TimePoint now);
  bool say(std::string_view line);

  std::vector<const Vault*> listeners_;
  std::map<const Vault*, std::string> keys_;
  Terms terms_;
  Send send_;
  std::deque<Connection> connections_;  ///< outstanding; the first `sent_` are on their way
  std::size_t sent_ = 0;
  std::deque<Message> messages_;  ///< on their way
  std::uint64_t last_message_ = 0;
  bool is_blocked_ = false;
  bool is_leaving_ = false;
  std::optional<TimePoint> rests_until_;
  std::function<void()> on_drained_;
  TimePoint drained_at_latest_ = TimePoint::max();

  std::size_t open_ = 0;  ///< acknowledged, and not known to be closed
  Measure measure_;
  std::size_t measure_of_nothing_ = 0;
  TimePoint measured_ = TimePoint::min();
  // Of Node's workers, which tell nothing unasked. Its answers are in order with its acknowledgements.
  bool is_asked_ = false;          ///< how many it has
  bool is_asked_to_tell_ = false;  ///< when it has none
  TimePoint ask_at_ = TimePoint::max();
  Milliseconds ask_pause_{0};
};

}  // namespace baton
