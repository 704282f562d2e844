// Master. A worker's way from its start to its end, and what concerns all of them.
#include "master/process/process_table.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <system_error>
#include <utility>

#include "common/log.hpp"
#include "common/protocol.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;

namespace {

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

}  // namespace

// Twice the target is the most that live; a few more are being reaped.
ProcessTable::ProcessTable(asio::any_io_executor executor, WorkerObserver& observer)
    : executor_(std::move(executor)), observer_(observer), scoreboard_(std::size_t{3} * most_workers) {}

ProcessTable::~ProcessTable() {
  for (const auto& [id, worker] : workers_) finish_off(*worker);
}

WorkerHandle& ProcessTable::spawn(int id, unsigned number, std::shared_ptr<const Generation> generation) {
  const std::shared_ptr<WorkerHandle> worker = launcher_.launch(id, number, std::move(generation));
  try {
    workers_[id] = worker;
    conversation_.introduce(*worker);
  } catch (...) {
    finish_off(*worker);
    forget(*worker);
    throw;
  }
  start_task(executor_, follow_process(worker));
  start_task(executor_, conversation_.follow(worker));
  output_.watch(worker);
  readiness_.watch(worker);
  return *worker;
}

asio::awaitable<void> ProcessTable::follow_process(std::shared_ptr<WorkerHandle> worker) {
  // Asio may say so too early: it reuses its record of a descriptor, and an event meant for the one before may reach
  // it.
  do {
    const bool goes_on = co_await worker->process_watch.readable();
    if (!goes_on) co_return;
  } while (!worker->child.has_ended());
  // What it started and left behind would hold the listener, and answer nobody's signals.
  worker->child.kill_group();
  const Ending ending = worker->child.reap();
  conversation_.hear_last_answers(*worker);
  output_.read_last(*worker);
  worker->channel_end.reset();
  ClusterLink::on_exit(*worker);
  worker->notify_end.reset();
  worker->ack_end.reset();
  forget(*worker);
  observer_.on_exit(*worker, ending);
  orphans_.sweep();
}

/// Once its process is no more, or never was.
void ProcessTable::forget(WorkerHandle& worker) {
  worker.is_gone = true;
  if (worker.row) scoreboard_.give_back(*std::exchange(worker.row, std::nullopt));
  workers_.erase(worker.id);
}

void ProcessTable::ask_to_drain(int id) {
  WorkerHandle& worker = at(id);
  if (worker.cluster) return cluster_link_.dismiss(worker);
  worker.child.signal(worker.stop_signal);
}

void ProcessTable::kill_all() {
  for (const auto& [id, worker] : workers_) worker->child.kill_group();
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
  if (std::exchange(is_recovering_, true)) return;
  asio::post(executor_, [this] {
    is_recovering_ = false;
    for (const auto& [id, worker] : workers_)
      if (worker->is_ready && worker->generation->options.command.empty())
        writer_.send(*worker, protocol::glance_line());
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

}  // namespace baton
