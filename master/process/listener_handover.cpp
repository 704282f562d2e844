// Master. Handing over, lending, and what becomes of a listener that did not arrive.
#include "master/process/listener_handover.hpp"

#include <csignal>
#include <system_error>
#include <utility>

#include "common/log.hpp"

namespace baton {

void ListenerHandover::hand_over(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) {
  Fd copy = vault->copy();
  worker.pending.listeners.push_back(vault);
  writer_.send(worker, protocol::listener_line(vault->name()), std::move(copy));
}

void ListenerHandover::lend(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) {
  hand_over(worker, vault);
  worker.borrowed[vault->cookie()] = vault;
}

void ListenerHandover::withdraw(WorkerHandle& worker, std::uint64_t cookie) {
  worker.borrowed.erase(cookie);
  writer_.send(worker, protocol::withdraw_line(cookie));
}

bool ListenerHandover::hear_answer(WorkerHandle& worker, protocol::Kind kind) {
  if (worker.pending.listeners.empty()) return false;
  const std::shared_ptr<Vault> vault = worker.pending.listeners.front();
  worker.pending.listeners.pop_front();
  if (kind == protocol::Kind::handle_nack) on_refusal(worker, vault);
  return true;
}

/// The message came without its descriptor: the worker was at its limit of open files. Node, too, tries three times.
void ListenerHandover::on_refusal(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) {
  constexpr unsigned most_refusals = 3;
  const bool is_lent = !worker.holds_by_right(*vault);
  if (is_lent && !worker.borrowed.contains(vault->cookie())) return;  // withdrawn meanwhile
  try {
    if (++worker.refusals < most_refusals) return hand_over(worker, vault);
  } catch (const std::system_error& error) {
    log::error("{} asks for its listener again, and there is none to give: {}", worker.name(), error.what());
    return worker.child.signal(SIGTERM);
  }
  if (is_lent) return log::error("{} could not receive a listener that it was to serve, too", worker.name());
  log::error("{} could not receive the listener, and is stopped (is its limit of open files too low?)", worker.name());
  worker.child.signal(SIGTERM);
}

}  // namespace baton
