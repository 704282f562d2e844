// Master. What happens to the workers: asks the Pool what is to be done, has the ProcessTable do it, and answers those
// who asked for a reload, another number of workers, or the end. Owns the generations of the configuration, and with
// them the listeners. Runs on one Asio thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "master/cluster/cluster_listeners.hpp"
#include "master/control/commands.hpp"
#include "master/dispatch/dispatcher.hpp"
#include "master/messages/message_bus.hpp"
#include "master/policy/socket_policy.hpp"
#include "master/pool/pool.hpp"
#include "master/process/process_table.hpp"
#include "master/state/file.hpp"
#include "master/state/store.hpp"

namespace baton {

class Supervisor final : public Commands, private ProcessTable::WorkerObserver, private MessageBus::Transport {
 public:
  /// `read_options` reads the configuration again; what it throws refuses a reload. `on_all_ended` runs once, when it
  /// was stopped and the last worker is reaped.
  Supervisor(boost::asio::any_io_executor executor, std::function<Options()> read_options,
             std::function<void()> on_all_ended);
  ~Supervisor() override = default;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Binds and listens. Throws StartError.
  void bind(Options options);
  /// Spawns all workers. Throws StartError.
  void start();

  [[nodiscard]] boost::json::object status() const override;
  void scale(std::string_view amount, Done done) override;
  void reload(Done done) override;
  void stop(Done done) override;
  void send(const Addressee& to, const boost::json::value& message, std::optional<std::chrono::milliseconds> time_limit,
            Done done) override;
  std::string carry_out(const state::Operation& operation) override;
  [[nodiscard]] Events& changes() override { return changes_; }
  [[nodiscard]] Events& events() override { return events_; }

  void kill();
  /// Files that workers' lines go to, after a rotation.
  void reopen_output();
  [[nodiscard]] bool is_stopping() const { return stopping_; }
  /// A child of this process has ended or was stopped: SIGCHLD.
  void on_child_signal();

  [[nodiscard]] const Generation& generation() const { return *generation_; }
  /// The control socket that workers are told of.
  void set_worker_socket(std::string path) { processes_.set_worker_socket(std::move(path)); }
  /// For status(): the path of the control socket, or nothing.
  void set_control(std::string path) { control_ = std::move(path); }
  /// As given, or else the first address.
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  /// Who leaves by itself sooner than this does so again and again: it counts like a death, so that its successors come
  /// less and less often.
  static constexpr std::chrono::seconds least_service{10};

  using Generations = std::shared_ptr<const Generation>;

  void on_ready(WorkerHandle& worker) override;
  void on_wants_to_retire(WorkerHandle& worker, std::string_view why) override;
  void on_hung(WorkerHandle& worker, std::string_view how) override;
  bool on_answer(WorkerHandle& worker, const protocol::Message& message) override;
  void on_cluster(WorkerHandle& worker, const protocol::Message& message) override;
  void on_bus_message(WorkerHandle& worker, const boost::json::object& said) override;
  void on_words(WorkerHandle& worker, const boost::json::value& words) override;
  void on_writable(WorkerHandle& worker) override;
  void on_channel_end(WorkerHandle& worker) override;
  void on_exit(WorkerHandle& worker, const Ending& ending) override;

  // supervisor.cpp: what is, against what is wanted
  void advance();
  bool take_steps();
  bool start_member(unsigned slot);
  void prepare_asked(unsigned slot);
  void retire(int id);
  void expire(TimePoint at);
  void after_loss(const Loss& loss, const std::string& what);
  void open_breaker();
  void close_breaker();
  void settle();
  boost::asio::awaitable<void> follow_timer();

  // supervisor_post.cpp: messages, and what workers share
  void open_state(const std::string& path);
  void on_change(const state::Change& change);
  Delivery deliver(int id, std::string_view line) override;
  [[nodiscard]] std::optional<int> holder(unsigned number) const override;
  [[nodiscard]] std::vector<int> holders() const override;
  [[nodiscard]] unsigned number_of(int id) const override;
  void hear(int id, const boost::json::value& message) override;
  [[nodiscard]] TimePoint next_of_bus() const;
  void hurry_bus();
  boost::asio::awaitable<void> follow_bus();

  // supervisor_output.cpp: where the workers' lines go
  void end_output();

  // supervisor_listeners.cpp: who serves which listener
  void confirm_listeners(const WorkerHandle& worker);
  void arrange_listeners();
  [[nodiscard]] std::set<std::shared_ptr<ListenerGroup>> groups() const;
  [[nodiscard]] Scene scene_of(const std::shared_ptr<ListenerGroup>& group, unsigned target) const;
  void take_up_left(ListenerGroup& group, const Scene& scene);
  void lend_out(const std::map<int, std::map<std::uint64_t, std::shared_ptr<Vault>>>& wanted);
  void tell_stranded(std::set<unsigned> slots);
  void check_target(const Options& options, unsigned target) const;

  // supervisor_dispatch.cpp: what a policy adds whose master accepts
  void prepare_dispatch(Policy policy);
  void open_gates();
  void open_gates(const std::vector<std::shared_ptr<ListenerGroup>>& groups);
  void begin_dispatch(WorkerHandle& worker);
  void end_dispatch(int id, Action action);
  void end_dispatch(const WorkerHandle& ended);
  void find_mute();
  [[nodiscard]] static Dispatcher::Key key_of(const WorkerHandle& worker) { return {worker.number, worker.id}; }
  void describe_load(const WorkerHandle& worker, boost::json::object& described) const;

  // supervisor_cluster.cpp: what workers of the dialect node-cluster ask for
  [[nodiscard]] std::vector<std::shared_ptr<ListenerGroup>> listeners() const;
  void on_question(WorkerHandle& worker, const boost::json::object& said);
  void give(WorkerHandle& worker, const protocol::Query& query, const ClusterListeners::Answer& found);
  void on_listening(WorkerHandle& worker, const boost::json::object& said);
  void on_close(WorkerHandle& worker, std::string_view key);
  void serve_or_forgo(const WorkerHandle& worker, const Vault& vault);
  void on_leave(WorkerHandle& worker, const boost::json::object& said);
  [[nodiscard]] bool holds(const WorkerHandle& worker, const Vault& vault) const;
  void give_up_listeners(TimePoint at);

  // supervisor_commands.cpp: those who asked
  void set_target(unsigned target, Done done);
  void begin_reload();
  void take_over(Options options);
  void set_backlog();
  void roll_back(const std::string& why);
  void end_reload(const Outcome& outcome);
  void end_scale(const Outcome& outcome);
  void tell_progress();
  [[nodiscard]] boost::json::object totals() const;
  [[nodiscard]] boost::json::array addresses_of(const WorkerHandle& worker) const;
  [[nodiscard]] boost::json::object describe(int id, const Member& member) const;

  // supervisor_rounds.cpp: what only looking tells
  boost::asio::awaitable<void> keep_house();
  boost::asio::awaitable<void> follow_alarm();
  void find_hung(TimePoint at);
  void declare_hung(WorkerHandle& worker, std::string_view how);
  void find_worn_out(TimePoint at);
  void condemn(WorkerHandle& worker, std::string_view why, bool is_fault = false);
  void inspect_listeners();
  void inspect(ListenerGroup& group);
  void mend(Vault& vault, const Vault::Finding& finding);
  void renew(Vault& vault);
  void condemn_for_fault(WorkerHandle& worker);
  [[nodiscard]] std::vector<WorkerHandle*> holders_of(const Vault& vault) const;
  [[nodiscard]] const WorkerHandle* find_culprit(const std::vector<WorkerHandle*>& holders,
                                                 const Vault::Finding& finding) const;

  void tell(std::string_view event, const std::string& message, boost::json::object fields = {});
  void tell(std::string_view event, const WorkerHandle& worker, const std::string& message);

  boost::asio::any_io_executor executor_;
  std::function<Options()> read_options_;
  std::function<void()> on_all_ended_;
  std::minstd_rand random_{std::random_device{}()};
  Events events_;
  Pool pool_;
  ProcessTable processes_{executor_, *this};
  ListenerAlarm alarm_;
  Watch alarm_watch_{executor_, alarm_.fd()};  // after the alarm: destroyed before it closes
  ClusterListeners cluster_listeners_{alarm_};
  std::unique_ptr<Dispatcher> dispatcher_;  ///< of a policy that hands connections over; after the staff: uses it
  state::Store store_;
  std::unique_ptr<state::File> state_file_;  ///< that the store is written through to; empty: nowhere
  Events changes_;                           ///< of the store
  MessageBus bus_{*this, store_};
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer housekeeping_;
  boost::asio::steady_timer bus_timer_;

  Generations generation_;      ///< the one that is wanted
  Generations old_generation_;  ///< during a reload, the one to go back to
  std::string name_;
  std::string control_;
  std::string started_;
  int last_id_ = 0;
  unsigned last_generation_ = 1;
  std::optional<unsigned> old_target_;  ///< before a reload changed it
  TimePoint last_repair_told_{};
  bool starting_ = false;
  bool stopping_ = false;
  bool waits_for_name_ = false;  ///< of a listener, which the workers that leave still hold
  unsigned reloads_ = 0;         ///< begun
  unsigned restarts_ = 0;        ///< of workers that ended unasked
  std::vector<int> newcomers_;   ///< that got ready, or ended before, since the last look at the listeners
  std::set<unsigned> stranded_;  ///< slots whose clients wait for their next worker
  std::map<unsigned, std::string> last_loss_;  ///< of each slot: how its worker was lost
  unsigned progress_ = 0;

  bool scaling_ = false;
  bool reload_again_ = false;
  std::vector<Done> scale_done_;
  std::vector<Done> reload_done_;
  std::vector<Done> next_reload_done_;  ///< of those who asked during a reload
  std::vector<Done> stop_done_;
};

}  // namespace baton
