// Master. Looking, mending, and who it was.
#include "master/supervisor/listener_repair.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/error.hpp"
#include "common/log.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<void> ListenerRepair::follow_alarm(std::function<void()> looked) {
  while (!parts_.pool.is_stopping()) {
    const bool rung = co_await alarm_watch_.readable();
    if (!rung || parts_.pool.is_stopping()) break;
    parts_.alarm.silence();
    inspect_all();
    looked();
    // Whoever shuts it down again and again must not have all of our time.
    asio::steady_timer pause(executor_, 10ms);
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

void ListenerRepair::note_who_is_left() {
  if (parts_.processes.all().empty()) waits_for_name_ = false;
}

void ListenerRepair::inspect_all() {
  for (const auto& group : parts_.listeners.all()) {
    try {
      inspect(*group);
    } catch (const std::runtime_error& error) {  // StartError, std::system_error
      log::error("the listener {} can't be mended: {}; it is tried again", group->address(), error.what());
    }
  }
  newcomers_.clear();
}

void ListenerRepair::inspect(ListenerGroup& group) {
  for (const auto& [place, vault] : group.vaults()) {
    const bool is_missed = vault->is_empty() && group.policy().is_common();
    if (is_missed && !parts_.pool.breaker_is_open() && !waits_for_name_) {  // could not be had back before
      vault->reserve();
      vault->listen(parts_.generations.options().backlog);
      for (const auto& [id, worker] : parts_.processes.all()) parts_.recycling.replace(*worker, "lacks a listener");
    }
    const Vault::Finding finding = vault->inspect();
    if (finding.damage != Vault::Damage::none) mend(*vault, finding);
  }
}

void ListenerRepair::mend(Vault& vault, const Vault::Finding& finding) {
  const bool was_shut_down = finding.damage == Vault::Damage::shut_down;
  const bool listens = vault.listen(parts_.generations.options().backlog);
  const TimePoint now = std::chrono::steady_clock::now();
  if (!was_shut_down && is_customary(finding, now))
    return log::debug("the listener {} has its backlog back", vault.address());

  const std::vector<const WorkerHandle*> holders = holders_of(vault);
  const WorkerHandle* culprit = find_culprit(holders, finding);
  tell_repair(
      fmt::format("the listener {} {} by {}; {}", vault.address(),
                  was_shut_down ? "was shut down" : fmt::format("had its backlog set to {}", finding.backlog),
                  culprit == nullptr ? "a worker that the kernel does not name, so all are replaced" : culprit->name(),
                  was_shut_down ? "listening again" : "it has it back"),
      now);
  for (const WorkerHandle* each : holders)
    if (culprit == nullptr || each == culprit) parts_.recycling.replace_for_tampering(*each);
  const bool is_unix = std::holds_alternative<UnixAddress>(vault.wanted().address);
  if (!listens && is_unix) renew(vault);
}

/// Programs call listen(2) once more on what they are given, each with a number of its own: Node with 511. That is no
/// fault, and mended in silence.
bool ListenerRepair::is_customary(const Vault::Finding& finding, TimePoint now) const {
  constexpr int least_customary = 5;
  // A program of the dialect node-cluster may call it at any time, with whatever its own listen() says.
  const bool is_asked_for = asks_for_listeners(parts_.generations.options().dialect);
  return is_asked_for || (finding.backlog >= least_customary && somebody_begins(now));
}

bool ListenerRepair::somebody_begins(TimePoint now) const {
  // Whose listener is taken by the program after it is acknowledged, as by Node's, is ready a moment before that.
  constexpr auto beginning = 3s;
  const auto begins = [&](const auto& each) {
    const Member& member = each.second;
    return member.life.state() == State::starting || (member.was_ready && now - member.ready_since < beginning);
  };
  const auto& members = parts_.pool.members();
  return !newcomers_.empty() || std::any_of(members.begin(), members.end(), begins);
}

void ListenerRepair::tell_repair(const std::string& message, TimePoint now) {
  if (now - last_told_ < 1s) return;
  log::warning("{}", message);
  parts_.events.tell("listener_repaired", message);
  last_told_ = now;
}

/// A Unix socket that was shut down stays so. Everybody needs a new one, and an abstract name is free for it only when
/// nobody holds the old one any more: then they go at once, since nobody can reach them anyway.
void ListenerRepair::renew(Vault& vault) {
  vault.empty();
  try {
    vault.reserve();
    vault.listen(parts_.generations.options().backlog);
    for (const auto& [id, worker] : parts_.processes.all())
      parts_.recycling.replace(*worker, "holds a listener that was shut down");
  } catch (const StartError& error) {
    log::warning("{}; it is free when every worker has gone", error.what());
    waits_for_name_ = true;
    for (const auto& [id, member] : parts_.pool.members())
      if (is_staying(member.life.state())) parts_.drain.ask(id);
  }
}

bool ListenerRepair::holds(const WorkerHandle& worker, const Vault& vault) const {
  if (worker.cluster) return parts_.asked_for.holds(worker.id, vault);
  return worker.holds_by_right(vault) || worker.borrowed.contains(vault.cookie());
}

std::vector<const WorkerHandle*> ListenerRepair::holders_of(const Vault& vault) const {
  std::vector<const WorkerHandle*> found;
  for (const auto& [id, worker] : parts_.processes.all())
    if (holds(*worker, vault)) found.push_back(worker.get());
  return found;
}

/// Whom the kernel names; else whoever alone can have done it since the last look. Null where that leaves several.
const WorkerHandle* ListenerRepair::find_culprit(const std::vector<const WorkerHandle*>& holders,
                                                 const Vault::Finding& finding) const {
  const pid_t group = finding.culprit == 0 ? 0 : ::getpgid(finding.culprit);
  for (const WorkerHandle* each : holders)
    if (group != 0 && each->child.pid() == group) return each;
  if (holders.size() == 1) return holders.front();
  std::vector<const WorkerHandle*> new_holders;
  for (const WorkerHandle* each : holders)
    if (std::find(newcomers_.begin(), newcomers_.end(), each->id) != newcomers_.end()) new_holders.push_back(each);
  return new_holders.size() == 1 ? new_holders.front() : nullptr;
}

}  // namespace baton
