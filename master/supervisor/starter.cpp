// Master. From a slot to a worker that serves.
#include "master/supervisor/starter.hpp"

#include <fmt/format.h>

#include <system_error>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/process/worker_event.hpp"

namespace baton {
namespace {

/// " on 127.0.0.1:3001", where each worker has its own.
std::string own_addresses(const WorkerHandle& worker) {
  std::string text;
  for (const auto& group : worker.generation->listeners)
    if (group->policy().has_own_addresses()) text += (text.empty() ? " on " : ", ") + group->address_of(worker.number);
  return text;
}

}  // namespace

bool Starter::start(unsigned slot, bool is_first_start) {
  try {
    spawn(slot);
    return true;
  } catch (const std::runtime_error& error) {  // StartError, std::system_error
    if (is_first_start) throw;
    const auto* system = dynamic_cast<const std::system_error*>(&error);
    parts_.losses.on_not_started(slot, fmt::format("worker {}: {}{}", slot, error.what(),
                                                   system == nullptr ? "" : way_out(system->code().value())));
    return false;
  }
}

void Starter::spawn(unsigned slot) {
  parts_.listeners.prepare(slot);
  const int id = ++last_id_;
  const Options& options = parts_.generations.options();
  WorkerHandle& worker = parts_.processes.spawn(id, slot, parts_.generations.current());
  worker.started = worker.last_sign = std::chrono::steady_clock::now();
  parts_.pool.started(id, slot, worker.started, {options.ready_timeout, options.drain_timeout});
  log::debug("{} spawned", worker.name());
  tell(parts_.events, "worker_started", worker, worker.name() + " started");
}

bool Starter::take_into_service(WorkerHandle& worker) {
  const TimePoint now = std::chrono::steady_clock::now();
  const bool breaker_was_open = parts_.pool.breaker_is_open();
  if (parts_.pool.apply(worker.id, Event::got_ready, now) != Action::announce) return false;
  worker.last_sign = now;
  set_lifetime(worker, now);
  parts_.handing.begin(worker);
  parts_.cluster.serve_held(worker);
  announce(worker);
  if (breaker_was_open) parts_.listeners.accept_clients();
  parts_.listeners.confirm(worker);
  parts_.rollout.tell_progress();
  return true;
}

/// Not all of them at once.
void Starter::set_lifetime(WorkerHandle& worker, TimePoint now) {
  const Options& options = worker.generation->options;
  if (options.max_lifetime.count() == 0) return;
  const double part = std::uniform_real_distribution<>(0.9, 1.0)(random_);
  worker.retires_at = now + std::chrono::duration_cast<Milliseconds>(options.max_lifetime * part);
}

void Starter::announce(const WorkerHandle& worker) {
  const std::string message = worker.name() + " ready" + own_addresses(worker);
  log::info("{}", message);
  tell(parts_.events, "worker_ready", worker, message);
}

}  // namespace baton
