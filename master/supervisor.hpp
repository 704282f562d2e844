// Master. The workers: spawns them, hands them the listeners, hears them out, reaps them, stops them. Owns one record
// per living worker. Runs on one Asio thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>

#include "master/listener.hpp"
#include "master/options.hpp"
#include "master/worker_handle.hpp"

namespace baton {

class Supervisor {
 public:
  /// `on_all_ended` runs once, after the last worker was reaped.
  Supervisor(boost::asio::any_io_executor executor, const Options& options, std::function<void()> on_all_ended);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  /// Kills what is left, so that an error leaves no process behind.
  ~Supervisor();

  /// Spawns all workers and sends each the listeners; the master's own copies are closed on return, or travel in a
  /// channel's queue. Throws StartError.
  void start(std::vector<Listener>& listeners);

  /// Asks the workers to finish (TERM); after the drain timeout, or at once when asked again so, kills them.
  void stop();
  void kill();
  [[nodiscard]] bool is_stopping() const { return stopping_; }

 private:
  using Handle = std::shared_ptr<WorkerHandle>;

  Handle spawn(int number);
  void hand_over(const Handle& worker, const Listener& listener);
  boost::asio::awaitable<void> follow_channel(Handle worker);
  static boost::asio::awaitable<void> flush_channel(Handle worker);
  boost::asio::awaitable<void> follow_process(Handle worker);
  boost::asio::awaitable<void> kill_late();

  void on_message(const Handle& worker, Frame frame);
  void send(const Handle& worker, std::string_view line, std::optional<Fd> handle = std::nullopt);
  void announce_if_ready(const Handle& worker);
  void on_ended(const Handle& worker);

  boost::asio::any_io_executor executor_;
  const Options& options_;
  std::function<void()> on_all_ended_;
  Command command_;
  std::map<int, Handle> workers_;  ///< alive, by number
  boost::asio::steady_timer drain_timer_;
  bool stopping_ = false;
};

}  // namespace baton
