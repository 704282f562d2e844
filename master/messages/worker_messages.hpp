// Master. Messages and the shared state, for the workers as they are: who can be told something, when a question or a
// key has had its time, and where the state is written. Owns the message bus, the state and its file.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/control/events.hpp"
#include "master/messages/message_bus.hpp"
#include "master/process/process_table.hpp"
#include "master/state/file.hpp"
#include "master/state/store.hpp"

namespace baton {

class WorkerMessages final : private MessageBus::Transport {
 public:
  /// All of them outlive this.
  WorkerMessages(const boost::asio::any_io_executor& executor, ProcessTable& processes, Events& events);
  WorkerMessages(const WorkerMessages&) = delete;
  WorkerMessages& operator=(const WorkerMessages&) = delete;
  ~WorkerMessages() = default;

  /// Takes up what that file has, and writes every change through to it; empty: memory alone. Throws StartError.
  void open_state(const std::string& path);

  /// A worker's question to the bus or to the state: an object with a member "baton".
  void on_bus_message(const WorkerHandle& worker, const boost::json::object& said);
  /// A worker's message to the master, which goes to the log and to `events`.
  void on_words(WorkerHandle& worker, const boost::json::value& words);
  /// There may be room in that worker's channel again.
  void on_writable(const WorkerHandle& worker) { bus_.make_up(worker.id); }
  /// That process is no more.
  void forget(int id) { bus_.forget(id); }

  /// As Commands has them.
  void send(const Addressee& to, const boost::json::value& message, std::optional<std::chrono::milliseconds> time_limit,
            const Done& done);
  std::string carry_out(const state::Operation& operation);
  /// Of the state.
  [[nodiscard]] Events& changes() { return changes_; }

  /// Ends what has had its time, until end().
  boost::asio::awaitable<void> follow_time();
  void end();

 private:
  Delivery deliver(int id, std::string_view line) override;
  [[nodiscard]] std::optional<int> holder(unsigned number) const override;
  [[nodiscard]] std::vector<int> holders() const override;
  [[nodiscard]] unsigned number_of(int id) const override;
  void hear(int id, const boost::json::value& message) override;

  void on_change(const state::Change& change);
  [[nodiscard]] TimePoint next_deadline() const;
  void hurry();

  ProcessTable& processes_;
  Events& events_;
  state::Store store_;
  std::unique_ptr<state::File> file_;  ///< that the store is written through to; empty: nowhere
  Events changes_;
  MessageBus bus_{*this, store_};
  boost::asio::steady_timer timer_;
  bool ended_ = false;
};

}  // namespace baton
