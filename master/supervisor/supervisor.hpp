// Master. What is, against what is wanted: asks the pool what is to be done, and has it done, after every change. Owns
// the parts that do it, puts them together, and passes on to each what workers say. Runs on one Asio thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <random>
#include <string>
#include <string_view>

#include "master/cluster/cluster_primary.hpp"
#include "master/supervisor/health_checks.hpp"
#include "master/supervisor/listener_lending.hpp"
#include "master/supervisor/listener_repair.hpp"
#include "master/supervisor/master_commands.hpp"
#include "master/supervisor/output_rotation.hpp"
#include "master/supervisor/starter.hpp"

namespace baton {

class Supervisor final : private WorkerObserver {
 public:
  /// `read_options` reads the configuration again; what it throws refuses a reload. `on_all_ended` runs once, when it
  /// was stopped and the last worker is reaped.
  Supervisor(boost::asio::any_io_executor executor, std::function<Options()> read_options,
             std::function<void()> on_all_ended);
  ~Supervisor() = default;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Binds and listens. Throws StartError.
  void bind(Options options);
  /// Spawns all workers. Throws StartError.
  void start();

  [[nodiscard]] Commands& commands() { return commands_; }
  [[nodiscard]] bool is_stopping() const { return pool_.is_stopping(); }
  /// Every worker, at once.
  void kill() { processes_.kill_all(); }
  /// Files that workers' lines go to, after a rotation.
  void reopen_output() { baton::reopen_output(generations_, processes_); }
  /// A child of this process has ended or was stopped: SIGCHLD.
  void on_child_signal();

  [[nodiscard]] const Generation& generation() const { return *generations_.current(); }
  [[nodiscard]] StatusReport& status() { return status_; }
  /// The control socket that workers are told of.
  void set_worker_socket(std::string path) { processes_.set_worker_socket(std::move(path)); }

 private:
  void on_ready(WorkerHandle& worker) override;
  void on_wants_to_retire(WorkerHandle& worker, std::string_view why) override;
  void on_hung(WorkerHandle& worker, std::string_view how) override;
  bool on_answer(WorkerHandle& worker, const protocol::Message& message) override {
    return handing_.on_answer(worker, message);
  }
  void on_cluster(WorkerHandle& worker, const protocol::Message& message) override {
    cluster_.on_message(worker, message);
  }
  void on_bus_message(WorkerHandle& worker, const boost::json::object& said) override {
    messages_.on_bus_message(worker, said);
  }
  void on_words(WorkerHandle& worker, const boost::json::value& words) override { messages_.on_words(worker, words); }
  void on_writable(WorkerHandle& worker) override;
  void on_channel_end(WorkerHandle& worker) override { handing_.disconnect(worker); }
  void on_exit(WorkerHandle& worker, const Ending& ending) override;

  Generations::Pointer next_generation(Options options, unsigned target);
  void advance();
  bool take_steps();
  void hand_out_connections();
  void end();
  void look_around(TimePoint now);
  boost::asio::awaitable<void> follow_deadlines();

  boost::asio::any_io_executor executor_;
  std::function<void()> on_all_ended_;
  std::minstd_rand random_{std::random_device{}()};
  Events events_;
  Pool pool_{[this] { return std::uniform_real_distribution<>(0, 1)(random_); }};
  ListenerAlarm alarm_;
  Generations generations_;
  ProcessTable processes_{executor_, *this};
  ConnectionHanding handing_{executor_, processes_};
  ClusterListeners asked_for_{alarm_};
  OpenListeners listeners_{generations_, asked_for_, pool_, events_};
  ListenerLending lending_{generations_, pool_, processes_};
  Drain drain_{pool_, processes_, handing_, events_};
  Recycling recycling_{pool_, events_};
  Rollout rollout_;
  WorkerLosses losses_{{pool_, processes_, listeners_, asked_for_, drain_, rollout_, events_}};
  ClusterPrimary cluster_{{asked_for_, pool_, processes_, handing_, generations_, events_}, [this] { advance(); }};
  Starter starter_{{pool_, processes_, generations_, listeners_, handing_, cluster_, losses_, rollout_, events_}};
  ListenerRepair repair_{
      executor_, {alarm_, generations_, pool_, processes_, listeners_, asked_for_, recycling_, drain_, events_}};
  HealthChecks health_{executor_, {pool_, processes_, generations_, handing_, losses_, recycling_}};
  WorkerMessages messages_{executor_, processes_, events_};
  StatusReport status_{{pool_, processes_, generations_, listeners_, asked_for_, handing_, rollout_, losses_}};
  MasterCommands commands_{status_, rollout_, messages_, events_};
  boost::asio::steady_timer timer_;
  bool starting_ = false;
};

}  // namespace baton
