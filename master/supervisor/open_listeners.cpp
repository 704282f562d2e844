// Master. Opening and closing.
#include "master/supervisor/open_listeners.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"
#include "common/log.hpp"

namespace baton {
namespace {

/// Gives up what is there; but two ranges can have ports in common.
void close(const ListenerGroup& dropped, const OpenListeners::Groups& kept) {
  for (const auto& entry : dropped.vaults()) {
    const bool is_kept = std::any_of(kept.begin(), kept.end(), [&](const auto& group) {
      const auto& others = group->vaults();
      return std::any_of(others.begin(), others.end(), [&](const auto& each) { return each.second == entry.second; });
    });
    if (!is_kept) entry.second->empty();
  }
}

}  // namespace

OpenListeners::Groups OpenListeners::all() const {
  Groups found = generations_.current()->listeners;
  found.insert(found.end(), asked_for_.groups().begin(), asked_for_.groups().end());
  return found;
}

/// While the breaker is open, clients are refused until a worker is ready. But what a program has from the start it
/// takes for a listener: one that does not listen yet wakes it at once, and fails its accept.
void OpenListeners::prepare(unsigned slot) {
  const Options& options = generations_.options();
  for (const auto& group : generations_.current()->listeners) {
    group->prepare(slot, options.backlog, pool_.breaker_is_open());
    if (inherits_listeners(options.dialect)) group->confirm(slot, options.backlog);
  }
  asked_for_.prepare(slot, options.backlog, pool_.breaker_is_open());
}

void OpenListeners::confirm(const WorkerHandle& worker) {
  for (const auto& group : worker.generation->listeners) {
    try {
      group->confirm(worker.number, generations_.options().backlog);
    } catch (const std::system_error& error) {
      log::error("can't listen on {} for {}: {}", group->address(), worker.name(), error.what());
    }
  }
}

void OpenListeners::empty() const {
  for (const auto& group : all()) group->empty();
}

void OpenListeners::refuse_clients() {
  empty();
  const std::string message = "every worker fails: clients are refused until one gets ready";
  log::error("{}", message);
  events_.tell("breaker_opened", message);
}

void OpenListeners::accept_clients() {
  for (const auto& group : all()) {
    try {
      group->reopen(generations_.options().backlog);
      const std::string message = fmt::format("a worker is ready: listening on {} again", group->address());
      log::warning("{}", message);
      events_.tell("breaker_closed", message);
    } catch (const std::runtime_error& error) {  // StartError, std::system_error; the next look around tries again
      log::error("can't listen on {} again: {}", group->address(), error.what());
    }
  }
}

void OpenListeners::close_all() {
  for (const Generations::Pointer& each : {generations_.current(), generations_.previous()}) {
    if (!each) continue;
    for (const auto& group : each->listeners) group->empty();
  }
  asked_for_.empty();
}

void OpenListeners::set_backlog() {
  if (pool_.breaker_is_open()) return;
  for (const auto& group : all())
    for (const auto& [place, vault] : group->vaults()) {
      try {
        if (vault->is_listening()) vault->listen(generations_.options().backlog);
      } catch (const std::system_error& error) {
        log::error("the backlog of {} stays: {}", vault->address(), error.what());
      }
    }
}

OpenListeners::Groups OpenListeners::close_dropped(const Generation& old) {
  Groups dropped = listeners_without(old, *generations_.current());
  for (const auto& group : dropped) close(*group, generations_.current()->listeners);
  return dropped;
}

}  // namespace baton
