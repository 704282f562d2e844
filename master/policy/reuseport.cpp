// Master. Which listeners are lent, to whom, and which are closed.
#include "master/policy/reuseport.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/error.hpp"

namespace baton {

using Owner = ListenerUse::Owner;

std::map<int, std::set<unsigned>> lend(const std::vector<unsigned>& places, const std::vector<int>& workers) {
  // Lent to all, a listener's share is spread most evenly. But thousands of them to thousands of workers would be
  // millions of descriptors.
  constexpr std::size_t most_copies = 1024;
  std::map<int, std::set<unsigned>> lent;
  if (places.empty() || workers.empty()) return lent;
  const std::size_t each_to = std::clamp<std::size_t>(most_copies / places.size(), 1, workers.size());
  for (std::size_t i = 0; i < places.size(); ++i)
    for (std::size_t j = 0; j < each_to; ++j) lent[workers.at((i * each_to + j) % workers.size())].insert(places.at(i));
  return lent;
}

ListenerPlan ReuseportSockets::plan(const ListenerUse& use) const {
  std::vector<int> borrowers;
  bool somebody_serves = false;
  for (const ListenerUse::Worker& each : use.workers) {
    somebody_serves = somebody_serves || each.is_ready;
    if (each.is_ready && each.can_borrow) borrowers.push_back(each.id);
  }
  const auto owners = use.owners();
  auto listening =
      std::count_if(use.places.begin(), use.places.end(), [](const ListenerUse::Place& each) { return each.listens; });
  ListenerPlan found;
  std::vector<unsigned> orphans;
  // From the top, so that the last one that listens is the first.
  for (auto place = use.places.rbegin(); place != use.places.rend(); ++place) {
    const auto holder = owners.find(place->slot);
    const Owner owner = holder == owners.end() ? Owner::none : holder->second;
    const bool is_surplus = place->slot > use.target && owner == Owner::none && use.may_close;
    if (owner == Owner::ready) continue;
    if (!place->listens) {
      if (is_surplus) found.closed.push_back(place->slot);
      continue;
    }
    if (!borrowers.empty()) {
      orphans.push_back(place->slot);
    } else if (owner == Owner::none && somebody_serves) {
      // Of a command's workers that were too many after all, the last clients are lost rather than all that come.
      const bool is_better_closed = (use.migrates && listening > 1) || is_surplus;
      if (use.may_close && is_better_closed) {
        found.closed.push_back(place->slot);
        --listening;
      } else {
        found.stranded.push_back(place->slot);
      }
    }
  }
  found.lent = lend(orphans, borrowers);
  return found;
}

/// A command's workers can't be lent a second listener, for no program expects one.
void ReuseportSockets::check_target(const ListenerUse& use, bool can_lend) const {
  if (can_lend || use.migrates || use.target == 0) return;
  const auto listening =
      std::count_if(use.places.begin(), use.places.end(), [](const ListenerUse::Place& each) { return each.listens; });
  for (const ListenerUse::Place& each : use.places)
    if (each.listens && each.slot > use.target)
      throw UsageError(fmt::format(
          "{} listeners are open for reuseport, and clients would be lost with a worker for only {} of them "
          "(sysctl net.ipv4.tcp_migrate_req=1 keeps them)",
          listening, use.target));
}

}  // namespace baton
