// Master. From an action to a message or a signal.
#include "master/supervisor/drain.hpp"

#include <csignal>

#include "common/log.hpp"
#include "master/process/worker_event.hpp"

namespace baton {

void Drain::ask(int id) {
  const Action action = pool_.apply(id, Event::retire, std::chrono::steady_clock::now());
  WorkerHandle& worker = processes_.at(id);
  const ProcessSettings& settings = worker.generation->options.process;
  const bool is_replaced = worker.number <= pool_.target();
  worker.stop_signal = is_replaced ? settings.asks_to_give_way() : settings.asks_to_stop();
  carry_out(id, action);
  log::debug("{} is to finish", worker.name());
  tell(events_, "worker_draining", worker, worker.name() + " finishes what it is answering");
}

void Drain::carry_out(int id, Action action) {
  const WorkerHandle& worker = processes_.at(id);
  // After it is asked to finish, the worker may read no more.
  if (action == Action::drain) return handing_.retire(worker, [this, id, action] { signal(id, action); });
  if (action != Action::none) handing_.retire(worker, [] {});
  signal(id, action);
}

void Drain::signal(int id, Action action) {
  const Child& child = processes_.at(id).child;
  switch (action) {
    case Action::drain:
      return processes_.ask_to_drain(id);
    case Action::terminate:
      return child.signal(SIGTERM);
    case Action::abort:
      return child.signal(SIGABRT);
    case Action::kill:
      return child.kill_group();
    case Action::none:
    case Action::announce:
      return;
  }
}

}  // namespace baton
