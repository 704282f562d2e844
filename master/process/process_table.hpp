// Master. The worker processes: spawns them, hands them the listeners, hears them out, signals and reaps them. Knows
// what a worker says, and nothing of who is wanted: that is the Pool's. Owns one record per process.
#pragma once

#include <sys/resource.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "master/output/output_files.hpp"
#include "master/process/worker_handle.hpp"
#include "master/process/worker_observer.hpp"

namespace baton {

class ProcessTable {
 public:
  ProcessTable(boost::asio::any_io_executor executor, WorkerObserver& observer);
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;
  /// Kills what is left, so that an error leaves no process behind.
  ~ProcessTable();

  /// The control socket that a command's workers are told of; empty: there is none.
  void set_worker_socket(std::string path) { worker_socket_ = std::move(path); }

  /// The limit of open files that workers start with, where this process has raised its own.
  void set_open_files(const rlimit& limit) { open_files_ = limit; }
  [[nodiscard]] bool has_open_files() const { return open_files_.has_value(); }

  /// Starts a worker and sends it every listener of its generation, or a greeting where it is to get connections.
  /// Throws StartError or std::system_error, and leaves no process behind then.
  WorkerHandle& spawn(int id, unsigned number, std::shared_ptr<const Generation> generation);

  /// A listener that is not its own, to serve as well until it is withdrawn. Throws std::system_error.
  void lend(WorkerHandle& worker, const std::shared_ptr<Vault>& vault);
  void withdraw(WorkerHandle& worker, std::uint64_t cookie);
  /// Of the dialect node-cluster: the answer to a question, with the vault's listener or without one. Throws
  /// std::system_error.
  void answer(WorkerHandle& worker, std::string line, const std::shared_ptr<Vault>& vault = nullptr);
  /// Whether there is room for one more that brings a listener.
  [[nodiscard]] static bool may_answer(const WorkerHandle& worker);
  /// Likewise: whether it listens on all that it has asked for, which makes it ready.
  void note_listening(WorkerHandle& worker, bool listens);
  /// As Channel::send_now(); what it leaves to be sent is sent.
  Channel::Sent send_now(int id, std::string_view line, std::span<const int> handles);
  /// A message, at once or as soon as it reads. `full`: it is not sent; on_writable() tells when there is room.
  Channel::Sent send_message(int id, std::string_view line);
  /// Whether what a worker says may go to the log: of a flood, a part may.
  static bool may_log(WorkerHandle& worker);

  /// By its cluster's own word, where it knows one; else by its stop signal.
  void ask_to_drain(int id);
  /// What still waits to be written gets a second; then nothing waits any more.
  void end_output() { streams_.finish(); }
  void kill_all();
  [[nodiscard]] WorkerHandle& at(int id) { return *workers_.at(id); }
  [[nodiscard]] const WorkerHandle& at(int id) const { return *workers_.at(id); }
  [[nodiscard]] const std::map<int, std::shared_ptr<WorkerHandle>>& all() const { return workers_; }

  /// What it counts, or null where it has no place on the scoreboard: a command that did not ask for one.
  [[nodiscard]] const CounterRow* counters(const WorkerHandle& worker) const;
  /// Over all workers that are or were.
  [[nodiscard]] std::uint64_t total(Metric metric) const { return scoreboard_.total(metric); }
  /// The last time that it showed to be alive.
  [[nodiscard]] TimePoint last_sign(const WorkerHandle& worker) const;

  /// To be called when a worker has died or was stopped: one that had been woken for a connection, and did not get to
  /// accept it, took the wake-up along. The others look for themselves.
  void recover_wake_ups();
  /// Whether a child was stopped (SIGSTOP, SIGTSTP) since the last call.
  static bool has_stopped_child();

  /// Reaps and kills processes that a worker left behind and that came to us (PR_SET_CHILD_SUBREAPER): those whose
  /// worker is no more. To be called when a child has ended.
  void sweep_orphans();
  /// All of them, and theirs, once there is no worker any more.
  void end_orphans();

 private:
  using Handle = std::shared_ptr<WorkerHandle>;

  // staff_output.cpp: the settings of a worker's process
  using Pipe = std::pair<Stream, Fd>;
  static void add_variables(std::vector<std::string>& variables, const ProcessSettings& settings);
  [[nodiscard]] ChildTraits traits(const ProcessSettings& settings) const;
  static std::vector<Pipe> make_pipes(const Options& options, SpawnSetup& setup);
  enum class Turn : std::uint8_t { usual, last };
  bool show_output(const WorkerHandle& worker, OutputEnd& end, Turn turn);
  boost::asio::awaitable<void> follow_output(Handle worker, std::size_t which);
  void hear_last_output(WorkerHandle& worker);

  // staff_channel.cpp
  void introduce(WorkerHandle& worker);
  void give_row(WorkerHandle& worker);
  void welcome(WorkerHandle& worker);
  void forget(WorkerHandle& worker);
  void hand_over(WorkerHandle& worker, std::size_t listener);
  void hand_over(WorkerHandle& worker, const std::shared_ptr<Vault>& vault);
  void greet(WorkerHandle& worker);
  void send(WorkerHandle& worker, std::string_view line, std::optional<Fd> handle = std::nullopt);
  boost::asio::awaitable<void> follow_channel(Handle worker);
  void hear(WorkerHandle& worker, std::vector<Frame> frames);
  void send_gathered();
  boost::asio::awaitable<void> flush_channel(Handle worker);
  boost::asio::awaitable<void> follow_notifications(Handle worker);
  boost::asio::awaitable<void> follow_acks(Handle worker);
  boost::asio::awaitable<void> follow_process(Handle worker);
  boost::asio::awaitable<void> await_accepting(Handle worker, std::set<std::uint64_t> inodes);
  // staff_cluster.cpp
  bool hear_confirmation(WorkerHandle& worker, const protocol::Message& message);
  void dismiss(WorkerHandle& worker);
  boost::asio::awaitable<void> see_off(Handle worker);
  void on_message(WorkerHandle& worker, Frame frame);
  bool hear_answer(WorkerHandle& worker, const protocol::Message& message);
  void hear_last_answers(WorkerHandle& worker);
  [[nodiscard]] std::vector<pid_t> orphans() const;
  void on_refusal(WorkerHandle& worker);
  void tell_if_ready(WorkerHandle& worker);

  boost::asio::any_io_executor executor_;
  WorkerObserver& observer_;
  StandardStreams streams_{executor_};
  Scoreboard scoreboard_;
  std::optional<rlimit> open_files_;
  std::string worker_socket_;
  std::map<int, Handle> workers_;  ///< alive, by id
  std::set<pid_t> strangers_;      ///< children that this process had before it was baton (sidecar & exec baton)
  std::set<pid_t> killed_orphans_;
  bool gathers_ = false;     ///< what is posted, till all that was read together is heard
  std::set<int> gathered_;   ///< whom it is for
  bool recovering_ = false;  ///< wake-ups, once for all the deaths of this moment
};

}  // namespace baton
