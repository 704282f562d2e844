// Master. What a worker's record tells of it.
#include "master/process/worker_handle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "common/log.hpp"

namespace baton {

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

bool WorkerHandle::may_log() {
  switch (log_lines.ask(std::chrono::steady_clock::now())) {
    case RateLimit::Answer::granted:
      if (const std::uint64_t lost = log_lines.take_refused(); lost > 0)
        log::warning("{}: of what it sent, {} more messages are not in the log", name(), lost);
      return true;
    case RateLimit::Answer::refused_first:
      log::warning("{} sends more than goes to the log; now and then some of it does", name());
      return false;
    case RateLimit::Answer::refused:
      break;
  }
  return false;
}

}  // namespace baton
