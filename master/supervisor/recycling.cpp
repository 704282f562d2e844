// Master. Why, and how it is told.
#include "master/supervisor/recycling.hpp"

#include <fmt/format.h>

#include "common/log.hpp"
#include "master/process/worker_event.hpp"

namespace baton {

bool Recycling::can_replace(const WorkerHandle& worker) const {
  const Member& member = pool_.members().at(worker.id);
  return !member.is_condemned && is_staying(member.life.state()) && !pool_.is_stopping();
}

void Recycling::replace(const WorkerHandle& worker, std::string_view why, Cause cause) {
  if (!can_replace(worker)) return;
  if (cause == Cause::fault)
    pool_.condemn_for_fault(worker.id, std::chrono::steady_clock::now());
  else
    pool_.condemn(worker.id);
  const std::string message = fmt::format("{} {} and is replaced", worker.name(), why);
  log::info("{}", message);
  tell(events_, "worker_recycled", worker, message);
}

void Recycling::replace_on_request(const WorkerHandle& worker, std::string_view why) {
  const bool is_fault =
      !worker.generation->options.command.empty() && pool_.is_early(worker.id, std::chrono::steady_clock::now());
  replace(worker, why.empty() ? "asks for it" : why, is_fault ? Cause::fault : Cause::wear);
}

void Recycling::replace_for_tampering(const WorkerHandle& worker) {
  if (!can_replace(worker)) return;
  pool_.condemn_for_fault(worker.id, std::chrono::steady_clock::now());
  const std::string message = fmt::format("{} may have tampered with a listener and is replaced", worker.name());
  log::warning("{}", message);
  tell(events_, "worker_recycled", worker, message);
}

}  // namespace baton
