// Master. Lending and giving back.
#include "master/supervisor/listener_lending.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/listeners/listener_health.hpp"

namespace baton {

void ListenerLending::arrange() {
  if (pool_.is_stopping()) return;
  std::map<int, Lent> lent;
  std::set<unsigned> stranded;
  for (const auto& group : generations_.listeners()) {
    if (group->policy().is_common()) continue;
    take_up_left(*group, use_of(group, pool_.target()));
    const ListenerPlan found = group->policy().plan(use_of(group, pool_.target()));
    for (const unsigned place : found.closed) {
      log::debug("the listener {} of worker {} is closed", group->address_of(place), place);
      group->close(place, place <= pool_.target());
    }
    for (const auto& [id, places] : found.lent)
      for (const unsigned place : places) {
        const auto& vault = group->vaults().at(place);
        lent[id][vault->cookie()] = vault;
      }
    stranded.insert(found.stranded.begin(), found.stranded.end());
  }
  lend_out(lent);
  tell_stranded(std::move(stranded));
}

/// A worker that listened, and ended before it was ready, leaves a listener that clients are sent to.
void ListenerLending::take_up_left(ListenerGroup& group, const ListenerUse& use) {
  const auto owners = use.owners();
  for (const auto& [place, vault] : group.vaults()) {
    const bool may_be_left = !vault->is_empty() && !vault->is_listening() && !owners.contains(place);
    if (!may_be_left || pool_.breaker_is_open()) continue;
    try {
      if (vault->listens()) vault->listen(generations_.options().backlog);
    } catch (const std::system_error& error) {  // out of descriptors; the next look around tries again
      log::error("the listener of worker {} can't be looked at: {}", place, error.what());
    }
  }
}

ListenerUse ListenerLending::use_of(const std::shared_ptr<ListenerGroup>& group, unsigned target) const {
  ListenerUse use;
  use.target = target;
  use.may_close = generations_.previous() == nullptr;
  use.migrates = group->policy().shares_port() && queues_migrate();
  for (const auto& [id, member] : pool_.members()) {
    if (!is_staying(member.life.state())) continue;
    const Generation& its = *processes_.at(id).generation;
    if (std::find(its.listeners.begin(), its.listeners.end(), group) == its.listeners.end()) continue;
    use.workers.push_back({id, member.slot, member.life.state() == State::ready, its.options.command.empty()});
  }
  for (const auto& [place, vault] : group->vaults()) use.places.push_back({place, vault->is_listening()});
  return use;
}

/// Each ready worker has those lent to it that are wanted, and gives the others back.
void ListenerLending::lend_out(const std::map<int, Lent>& wanted) {
  const Lent none;
  for (const auto& [id, worker] : processes_.all()) {
    const auto found = wanted.find(id);
    lend_to(*worker, found == wanted.end() ? none : found->second);
  }
}

void ListenerLending::lend_to(WorkerHandle& worker, const Lent& wanted) {
  std::vector<std::uint64_t> surplus;
  for (const auto& [cookie, vault] : worker.borrowed)
    if (!wanted.contains(cookie)) surplus.push_back(cookie);
  for (const std::uint64_t cookie : surplus) processes_.withdraw(worker, cookie);
  for (const auto& [cookie, vault] : wanted) {
    if (worker.borrowed.contains(cookie)) continue;
    try {
      processes_.lend(worker, vault);
    } catch (const std::system_error& error) {  // out of descriptors; the next look around tries again
      log::error("{} can't be lent a listener of {}: {}", worker.name(), vault->address(), error.what());
    }
  }
}

void ListenerLending::tell_stranded(std::set<unsigned> slots) {
  for (const unsigned slot : slots)
    if (!stranded_.contains(slot))
      log::warning(
          "clients whom the kernel sends to worker {} wait for its successor (sysctl net.ipv4.tcp_migrate_req=1 sends "
          "them to the others)",
          slot);
  stranded_ = std::move(slots);
}

void ListenerLending::check_target(const Options& options, unsigned target) const {
  for (const auto& group : generations_.current()->listeners)
    group->policy().check_target(use_of(group, target), options.command.empty());
}

}  // namespace baton
