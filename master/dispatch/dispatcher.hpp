// Master. The accept path of the policies `roundrobin`, `leastconn` and `source`: accepts from the listeners, has the
// policy choose among the workers that have room, and hands each its share of a turn in one message. Owns a descriptor
// of each listener while it is served, and every connection from its accept to its worker's acknowledgement.
//
// Where no worker has room, nothing is accepted: connections wait in the kernel's queue. What a worker could not take,
// or had not acknowledged when it ended, is the first to go to another.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "master/dispatch/open_listener.hpp"
#include "master/dispatch/recipient.hpp"
#include "master/listeners/vault.hpp"
#include "master/policy/connection_policy.hpp"
#include "master/policy/policy.hpp"

namespace baton {

class Dispatcher {
 public:
  /// A worker: its number and its id.
  using Key = std::pair<unsigned, int>;

  /// `policy`: one that hands_connections().
  Dispatcher(boost::asio::any_io_executor executor, Policy policy);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;
  ~Dispatcher();

  /// Accepts from what the vault keeps, until the vault is emptied: then what is queued is accepted still, where there
  /// is somebody to have it. Does nothing if it does so already. Throws std::system_error.
  void open(const std::shared_ptr<Vault>& vault);

  /// It gets connections of these listeners from now on.
  void add(Key key, const std::vector<const Vault*>& listeners, bool takes_many, const Recipient::Send& send);
  /// The same for one of Node's cluster, which gets those of the listeners that it has asked for: serve(). `measure` is
  /// for `leastconn`.
  void add_cluster(Key key, const Recipient::Send& send, Recipient::Measure measure);
  void serve(Key key, const Vault& listener, std::string_view name_there);
  void forgo(Key key, const Vault& listener);
  /// It gets no more. `then` runs once it has acknowledged what it was given, or at the latest after a second; at once
  /// where there is nothing.
  void retire(Key key, std::function<void()> then);
  /// It is no more: what it had not acknowledged goes to others. Returns how many those are.
  std::size_t remove(Key key);
  /// The same for one whose channel has ended; what retire() left to be done is done.
  std::size_t disconnect(Key key);

  /// What a worker says of its connections. False: it is out of place.
  bool hear(Key key, const protocol::Message& message);
  /// Its channel may have room again.
  void on_writable(Key key);

  struct Load {
    std::size_t in_flight = 0;  ///< connections that it has not acknowledged
    std::size_t held = 0;       ///< with those that it has, under `leastconn`
  };
  [[nodiscard]] Load load(Key key) const;

 private:
  boost::asio::awaitable<void> follow(std::shared_ptr<OpenListener> listener);
  [[nodiscard]] bool may_accept(const OpenListener& listener) const;
  void accept_from(OpenListener& listener);
  std::optional<Connection> accept_one(const OpenListener& listener);
  void on_accept_error(int error);
  void close(OpenListener& listener);
  void sweep(OpenListener& listener);

  void gather(const Origin& origin, bool (Recipient::*condition)() const);
  void place(Connection connection, bool is_bounded = true);
  [[nodiscard]] bool is_hopeless(const Connection& connection) const;
  void send_placed();
  void take_back(std::vector<Connection> connections);
  bool place_homeless();
  void settle();
  void wake_at(TimePoint at);
  void on_time();

  boost::asio::any_io_executor executor_;
  Policy policy_;
  std::unique_ptr<ConnectionPolicy> connection_policy_;
  std::map<Key, Recipient> recipients_;
  std::vector<std::shared_ptr<OpenListener>> listeners_;
  std::deque<Connection> homeless_;  ///< accepted, and nobody had room for them
  boost::asio::steady_timer timer_;
  TimePoint wake_ = TimePoint::max();
  std::optional<TimePoint> accepts_again_;  ///< there was no room for one more descriptor
  bool exhaustion_told_ = false;

  // For one turn, kept for their memory: who can be chosen, and who was.
  std::vector<Candidate> candidates_;
  std::vector<Recipient*> candidate_recipients_;
  std::vector<Recipient*> placed_;
};

}  // namespace baton
