// Master. From the parts to JSON.
#include "master/supervisor/status_report.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/log.hpp"

namespace baton {
namespace {

std::int64_t milliseconds(TimePoint::duration duration) {
  return std::chrono::duration_cast<Milliseconds>(duration).count();
}

/// Where clients reach that slot's worker.
boost::json::array addresses_of_slot(const Generation& generation, unsigned slot) {
  boost::json::array all;
  for (const auto& group : generation.listeners)
    if (const std::string address = group->address_of(slot); !address.empty()) all.emplace_back(address);
  return all;
}

}  // namespace

StatusReport::StatusReport(const Parts& parts) : parts_(parts), started_(log::timestamp_now()) {}

boost::json::object StatusReport::describe() const {
  return {{"name", name_},
          {"version", BATON_VERSION},
          {"pid", ::getpid()},
          {"started", started_},
          {"state", state()},
          {"target", parts_.pool.target()},
          {"ready", parts_.pool.ready()},
          {"generation", parts_.generations.current()->number},
          {"reloads", parts_.rollout.reloads()},
          {"restarts", parts_.losses.restarts()},
          {"control", control_},
          {"totals", totals()},
          {"listeners", listeners()},
          {"workers", workers()}};
}

const char* StatusReport::state() const {
  if (parts_.pool.is_stopping()) return "stopping";
  if (parts_.pool.breaker_is_open()) return "failing";
  if (parts_.pool.is_reloading()) return "reloading";
  return parts_.rollout.is_scaling() ? "scaling" : "serving";
}

boost::json::array StatusReport::listeners() const {
  boost::json::array all;
  for (const auto& group : parts_.listeners.all())
    for (const std::string& each : group->addresses())
      all.push_back(boost::json::object{{"name", group->name()}, {"address", each}});
  return all;
}

boost::json::array StatusReport::workers() const {
  std::multimap<unsigned, boost::json::object> by_slot;
  for (const auto& [id, member] : parts_.pool.members()) by_slot.emplace(member.slot, worker(id, member));
  const TimePoint now = std::chrono::steady_clock::now();
  for (const Pool::Vacancy& each : parts_.pool.vacancies()) by_slot.emplace(each.slot, vacancy(each, now));
  boost::json::array list;
  for (auto& [slot, each] : by_slot) list.push_back(std::move(each));
  return list;
}

boost::json::object StatusReport::vacancy(const Pool::Vacancy& vacancy, TimePoint now) const {
  return {{"worker", vacancy.slot},
          {"pid", nullptr},
          {"state", "backing_off"},
          {"retry_in_ms", std::max<std::int64_t>(milliseconds(vacancy.until - now), 0)},
          {"failures", vacancy.failures},
          {"listeners", addresses_of_slot(*parts_.generations.current(), vacancy.slot)},
          {"note", parts_.losses.last_of(vacancy.slot)}};
}

boost::json::object StatusReport::worker(int id, const Member& member) const {
  const WorkerHandle& worker = parts_.processes.at(id);
  boost::json::object described{{"worker", member.slot},
                                {"pid", worker.child.pid()},
                                {"state", std::string(baton::name(member.life.state()))},
                                {"generation", member.generation},
                                {"age_ms", milliseconds(std::chrono::steady_clock::now() - worker.started)},
                                {"rss", worker.child.resident_memory()},
                                {"listeners", addresses_of(worker)},
                                {"note", worker.status}};
  parts_.handing.describe(worker, described);
  const CounterRow* counters = parts_.processes.counters(worker);
  if (counters == nullptr) return described;
  for (const MetricInfo& each : metrics)
    if (each.metric != Metric::last_beat) described[each.name] = counters->get(each.metric);
  return described;
}

/// Where clients reach it.
boost::json::array StatusReport::addresses_of(const WorkerHandle& worker) const {
  if (!worker.cluster) return addresses_of_slot(*worker.generation, worker.number);
  boost::json::array all;
  for (const ClusterListeners::Holding& each : parts_.asked_for.holdings(worker.id))
    all.emplace_back(each.vault->address());
  return all;
}

/// Gauges mean something of one worker at one moment alone; the open connections can be added up.
boost::json::object StatusReport::totals() const {
  boost::json::object sums;
  for (const MetricInfo& each : metrics)
    if (each.kind == MetricKind::counter || each.metric == Metric::open)
      sums[each.name] = parts_.processes.total(each.metric);
  return sums;
}

}  // namespace baton
