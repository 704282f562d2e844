// Master. Spawning, signs of life, and the end of workers.
#include "master/process/process_table.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <fstream>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/log.hpp"
#include "common/protocol.hpp"
#include "master/dialect/handoff.hpp"
#include "master/process/accept_probe.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using protocol::Kind;
using protocol::Phase;

std::string WorkerHandle::name() const {
  return fmt::format("worker {} pid {}", number, child.pid());
}

bool WorkerHandle::holds_by_right(const Vault& vault) const {
  const auto& groups = generation->listeners;
  return std::any_of(groups.begin(), groups.end(), [&](const auto& group) {
    const auto found = group->vaults().find(group->policy().place(number));
    return found != group->vaults().end() && found->second.get() == &vault;
  });
}

namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The children of this process, orphans that came to it included.
std::vector<pid_t> children() {
  std::ifstream list(fmt::format("/proc/self/task/{}/children", ::getpid()));
  std::vector<pid_t> found;
  for (pid_t pid = 0; list >> pid;) found.push_back(pid);
  return found;
}

/// The BATON_START that a process was started with, or 0.
int start_of(pid_t pid) {
  std::ifstream environment(fmt::format("/proc/{}/environ", pid));
  const std::string wanted = fmt::format("{}=", protocol::start_variable);
  for (std::string entry; std::getline(environment, entry, '\0');)
    if (entry.starts_with(wanted)) return static_cast<int>(std::strtol(entry.c_str() + wanted.size(), nullptr, 10));
  return 0;
}

/// So that an error leaves no process behind.
void finish_off(const WorkerHandle& worker) {
  constexpr int patience_ms = 1000;
  worker.child.kill_group();
  try {
    if (worker.child.has_ended(patience_ms)) static_cast<void>(worker.child.reap());
  } catch (const std::system_error& error) {
    log::error("{}: {}", worker.name(), error.what());
  }
}

/// A child that nobody has a record of yet: it ends with this, unless somebody has.
struct UnrecordedChild {
  explicit UnrecordedChild(pid_t its_pid) : pid(its_pid) {}
  UnrecordedChild(const UnrecordedChild&) = delete;
  UnrecordedChild& operator=(const UnrecordedChild&) = delete;
  ~UnrecordedChild() {
    if (is_known) return;
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  pid_t pid;
  bool is_known = false;
};

std::set<std::uint64_t> inodes_of(const std::vector<std::shared_ptr<Vault>>& listeners) {
  std::set<std::uint64_t> inodes;
  for (const auto& each : listeners) inodes.insert(inode_of(each->copy()));
  return inodes;
}

/// Whether a child that was sent KILL ends, as it does unless the kernel holds it.
bool ends_soon(pid_t pid) {
  constexpr int patience_ms = 1000;
  const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  pollfd state{process.get(), POLLIN, 0};
  return process.is_open() && ::poll(&state, 1, patience_ms) == 1;
}

}  // namespace

// Twice the target is the most that live; a few more are being reaped.
ProcessTable::ProcessTable(asio::any_io_executor executor, WorkerObserver& observer)
    : executor_(std::move(executor)), observer_(observer), scoreboard_(std::size_t{3} * most_workers) {
  const std::vector<pid_t> before = children();
  strangers_.insert(before.begin(), before.end());
}

ProcessTable::~ProcessTable() {
  for (const auto& [id, worker] : workers_) finish_off(*worker);
}

WorkerHandle& ProcessTable::spawn(int id, unsigned number, std::shared_ptr<const Generation> generation) {
  const Options& options = generation->options;
  auto [ours, theirs] = make_channel_pair();
  const uid_t user = options.process.account ? options.process.account->user : ::geteuid();
  WorkerSpec spec{number, generation->number, id, user, generation->command.arguments, {}, options.process.nonblocking};
  for (const auto& group : generation->listeners) spec.listeners.push_back(group->vault(number));
  const std::set<std::uint64_t> inodes =
      options.ready == Readiness::accepts ? inodes_of(spec.listeners) : std::set<std::uint64_t>{};
  Handoff handoff = make_handoff(options.dialect, spec, std::move(theirs));
  SpawnSetup setup{
      std::move(handoff.descriptors), {}, {}, std::move(handoff.variables), std::move(handoff.pid_variable),
      traits(options.process)};
  add_variables(setup.variables, options.process);
  std::vector<Pipe> pipes = make_pipes(options, setup);
  if (!options.command.empty() && !worker_socket_.empty())
    setup.variables.push_back("BATON_CONTROL=" + worker_socket_);
  else
    setup.variables.emplace_back("BATON_CONTROL");
  // Those of our own supervisor are not for our workers.
  for (const char* each : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) setup.variables.emplace_back(each);
  std::optional<NotifySocket> notify_socket;
  if (!options.command.empty()) {
    notify_socket.emplace(user);
    setup.variables.push_back("NOTIFY_SOCKET=" + notify_socket->address());
    if (options.hang_timeout.count() > 0)
      setup.variables.push_back(
          fmt::format("WATCHDOG_USEC={}", std::chrono::microseconds(options.hang_timeout).count()));
  }
  Child child = Child::spawn(executor_, {generation->command.executable, std::move(handoff.arguments)}, setup);
  UnrecordedChild unrecorded(child.pid());
  setup = {};  // the ends that are the worker's
  auto worker =
      std::make_shared<WorkerHandle>(executor_, id, number, std::move(generation), std::move(child), std::move(ours));
  if (handoff.ack_socket) worker->ack_end = std::make_unique<AckEnd>(executor_, std::move(*handoff.ack_socket));
  if (asks_for_listeners(options.dialect)) worker->cluster = std::make_unique<ClusterTalk>();
  if (notify_socket) worker->notify_end = std::make_unique<NotifyEnd>(executor_, std::move(*notify_socket));
  for (Pipe& each : pipes)
    worker->outputs.at(static_cast<std::size_t>(each.first)) =
        std::make_unique<OutputEnd>(executor_, std::move(each.second), each.first);
  workers_[id] = worker;
  unrecorded.is_known = true;
  try {
    introduce(*worker);
  } catch (...) {
    finish_off(*worker);
    forget(*worker);
    throw;
  }
  start_task(executor_, follow_process(worker));
  start_task(executor_, follow_channel(worker));
  for (std::size_t each = 0; each < worker->outputs.size(); ++each) start_task(executor_, follow_output(worker, each));
  if (worker->notify_end) start_task(executor_, follow_notifications(worker));
  if (worker->ack_end) start_task(executor_, follow_acks(worker));
  if (worker->generation->options.ready == Readiness::accepts) start_task(executor_, await_accepting(worker, inodes));
  return *worker;
}

/// Once its process is no more, or never was.
void ProcessTable::forget(WorkerHandle& worker) {
  if (worker.row) scoreboard_.give_back(*std::exchange(worker.row, std::nullopt));
  workers_.erase(worker.id);
}

const CounterRow* ProcessTable::counters(const WorkerHandle& worker) const {
  return worker.row ? &scoreboard_.row(*worker.row) : nullptr;
}

TimePoint ProcessTable::last_sign(const WorkerHandle& worker) const {
  if (!worker.row) return worker.last_sign;
  const TimePoint beat{Milliseconds(scoreboard_.row(*worker.row).get(Metric::last_beat))};
  return std::max(worker.last_sign, beat);
}

void ProcessTable::recover_wake_ups() {
  if (std::exchange(recovering_, true)) return;
  asio::post(executor_, [this] {
    recovering_ = false;
    for (const auto& [id, worker] : workers_)
      if (worker->is_ready && worker->generation->options.command.empty()) send(*worker, protocol::glance_line());
  });
}

bool ProcessTable::has_stopped_child() {
  bool found = false;
  siginfo_t stopped{};
  while (::waitid(P_ALL, 0, &stopped, WSTOPPED | WNOHANG) == 0 && stopped.si_pid != 0) {
    found = true;
    stopped.si_pid = 0;
  }
  return found;
}

/// Nothing tells of it but a look; a program that says so itself is quicker.
asio::awaitable<void> ProcessTable::await_accepting(Handle worker, std::set<std::uint64_t> inodes) {
  constexpr auto longest = 50ms;
  asio::steady_timer pause(executor_);
  for (std::chrono::milliseconds time = 2ms; !worker->is_ready && workers_.contains(worker->id);
       time = std::min<std::chrono::milliseconds>(time * 2, longest)) {
    boost::system::error_code ignored;
    pause.expires_after(time);
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (worker->is_ready || !workers_.contains(worker->id)) break;
    worker->accepts = awaits_connections(worker->child.pid(), inodes) != Awaiting::no;
    if (worker->accepts) tell_if_ready(*worker);
  }
}

asio::awaitable<void> ProcessTable::follow_notifications(Handle worker) {
  constexpr std::string_view reloading = "reloads";
  while (worker->notify_end) {
    const bool readable = co_await worker->notify_end->watch.readable();
    if (!readable || !worker->notify_end) break;
    Notification notification = worker->notify_end->notify_socket.receive(worker->child.pid());
    if (notification.reloading) worker->status = reloading;
    if (notification.ready && worker->status == reloading) worker->status.clear();
    if (notification.status) worker->status = std::move(*notification.status);
    if (notification.alive || notification.ready) worker->last_sign = std::chrono::steady_clock::now();
    worker->notified_ready = worker->notified_ready || notification.ready;
    if (notification.ready) tell_if_ready(*worker);
    if (notification.stopping) observer_.on_wants_to_retire(*worker, "says that it stops");
    if (notification.hung) observer_.on_hung(*worker, "says that it hangs");
  }
}

asio::awaitable<void> ProcessTable::follow_acks(Handle worker) {
  while (worker->ack_end) {
    const bool readable = co_await worker->ack_end->watch.readable();
    if (!readable || !worker->ack_end) break;
    const AckSocket::Received received = worker->ack_end->acks.receive();
    if (received.acknowledgement) {
      worker->said_ready = true;
      tell_if_ready(*worker);
    }
    if (!received.is_exhausted) continue;
    asio::steady_timer pause(executor_, 100ms);  // it would be told of the same connection again at once
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<void> ProcessTable::follow_process(Handle worker) {
  // Asio may say so too early: it reuses its record of a descriptor, and an event meant for the one before may reach
  // it.
  do {
    const bool goes_on = co_await worker->process_watch.readable();
    if (!goes_on) co_return;
  } while (!worker->child.has_ended());
  // What it started and left behind would hold the listener, and answer nobody's signals.
  worker->child.kill_group();
  const Ending ending = worker->child.reap();
  hear_last_answers(*worker);
  hear_last_output(*worker);
  worker->channel_end.reset();
  if (worker->cluster && worker->cluster->patience) worker->cluster->patience->cancel();
  worker->notify_end.reset();
  worker->ack_end.reset();
  forget(*worker);
  observer_.on_exit(*worker, ending);
  sweep_orphans();
}

void ProcessTable::ask_to_drain(int id) {
  WorkerHandle& worker = at(id);
  if (worker.cluster) return dismiss(worker);
  worker.child.signal(worker.stop_signal);
}

void ProcessTable::kill_all() {
  for (const auto& [id, worker] : workers_) worker->child.kill_group();
}

std::vector<pid_t> ProcessTable::orphans() const {
  std::vector<pid_t> found;
  for (const pid_t pid : children()) {
    bool is_known = strangers_.contains(pid);
    for (const auto& [id, worker] : workers_) is_known = is_known || worker->child.pid() == pid;
    if (!is_known) found.push_back(pid);
  }
  return found;
}

void ProcessTable::sweep_orphans() {
  for (const pid_t pid : orphans()) {
    const std::string program = first_line(fmt::format("/proc/{}/comm", pid));
    const int start = start_of(pid);
    if (::waitpid(pid, nullptr, WNOHANG) != 0) {
      killed_orphans_.erase(pid);
      continue;
    }
    // It may hold the listener, and would serve with nobody to stop it.
    if (start != 0 && workers_.contains(start)) continue;
    if (start == 0 && !workers_.empty()) continue;
    if (!killed_orphans_.insert(pid).second) continue;
    log::warning("a worker that has ended left {} pid {} behind, which is killed", program, pid);
    ::kill(pid, SIGKILL);
  }
}

void ProcessTable::end_orphans() {
  // The children of one that is killed come to us in their turn.
  for (std::vector<pid_t> left = orphans(); !left.empty(); left = orphans()) {
    sweep_orphans();
    for (const pid_t pid : left)
      if (killed_orphans_.contains(pid) && !ends_soon(pid)) return log::error("pid {} does not end by KILL", pid);
  }
}

}  // namespace baton
