// Master. The workers that are alive, as processes: the room's front. It starts them, hands them to its collaborators,
// which talk to them and watch them, and reaps them. It knows what a worker says, and nothing of who is wanted: that is
// the pool's. Owns one record per process, and the scoreboard. Runs on one Asio thread.
#pragma once

#include <sys/resource.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/scoreboard.hpp"
#include "master/process/channel_writer.hpp"
#include "master/process/cluster_link.hpp"
#include "master/process/conversation.hpp"
#include "master/process/launcher.hpp"
#include "master/process/listener_handover.hpp"
#include "master/process/orphans.hpp"
#include "master/process/output_reader.hpp"
#include "master/process/readiness_watch.hpp"
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

  // Before the first is started: what all are started with (launcher.hpp).
  void set_worker_socket(std::string path) { launcher_.set_worker_socket(std::move(path)); }
  void set_open_files(const rlimit& limit) { launcher_.set_open_files(limit); }

  /// Starts a worker and sends it every listener of its generation, or a greeting where it is to get connections.
  /// Throws StartError or std::system_error, and leaves no process behind then.
  WorkerHandle& spawn(int id, unsigned number, std::shared_ptr<const Generation> generation);
  /// By its stop signal, or by the message that a worker of Node's cluster knows.
  void ask_to_drain(int id);
  void kill_all();

  [[nodiscard]] WorkerHandle& at(int id) { return *workers_.at(id); }
  [[nodiscard]] const WorkerHandle& at(int id) const { return *workers_.at(id); }
  [[nodiscard]] const Workers& all() const { return workers_; }
  /// What it counts, or null where it has no place on the scoreboard: a command that did not ask for one.
  [[nodiscard]] const CounterRow* counters(const WorkerHandle& worker) const;
  /// Over all workers that are or were.
  [[nodiscard]] std::uint64_t total(Metric metric) const { return scoreboard_.total(metric); }
  /// The last time that it showed to be alive.
  [[nodiscard]] TimePoint last_sign(const WorkerHandle& worker) const;

  // What a worker is sent (channel_writer.hpp, listener_handover.hpp, cluster_link.hpp).
  Channel::Sent send_now(int id, std::string_view line, std::span<const int> handles) {
    return writer_.send_now(at(id), line, handles);
  }
  Channel::Sent send_message(int id, std::string_view line) { return writer_.send_message(at(id), line); }
  void lend(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) { handover_.lend(worker, vault); }
  void withdraw(WorkerHandle& worker, std::uint64_t cookie) { handover_.withdraw(worker, cookie); }
  void answer(WorkerHandle& worker, std::string line, const std::shared_ptr<Vault>& vault = nullptr) {
    cluster_link_.answer(worker, std::move(line), vault);
  }
  [[nodiscard]] static bool may_answer(const WorkerHandle& worker) { return ClusterLink::may_answer(worker); }
  void note_listening(WorkerHandle& worker, bool listens) { cluster_link_.note_listening(worker, listens); }

  /// To be called when a worker has died or was stopped: one that had been woken for a connection, and did not get to
  /// accept it, took the wake-up along. The others look for themselves.
  void recover_wake_ups();
  /// Whether a child was stopped (SIGSTOP, SIGTSTP) since the last call.
  static bool has_stopped_child();

  // What workers leave behind (orphans.hpp), and what they write (output_reader.hpp).
  void sweep_orphans() { orphans_.sweep(); }
  void end_orphans() { orphans_.end(); }
  void end_output() { output_.finish(); }

 private:
  boost::asio::awaitable<void> follow_process(std::shared_ptr<WorkerHandle> worker);
  void forget(WorkerHandle& worker);

  boost::asio::any_io_executor executor_;
  WorkerObserver& observer_;
  OutputReader output_{executor_};
  Scoreboard scoreboard_;
  Workers workers_;
  Orphans orphans_{workers_};
  Launcher launcher_{executor_};
  ChannelWriter writer_{executor_, observer_};
  ListenerHandover handover_{writer_};
  ClusterLink cluster_link_{executor_, writer_, observer_};
  ReadinessWatch readiness_{executor_, observer_};
  Conversation conversation_{{writer_, handover_, cluster_link_, scoreboard_, observer_}};
  bool is_recovering_ = false;  ///< wake-ups, once for all the deaths of this moment
};

}  // namespace baton
