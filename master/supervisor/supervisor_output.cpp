// Master. The supervisor's side of where the workers' lines go.
#include <set>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/supervisor/supervisor.hpp"

namespace baton {

/// Each once: generations share them.
void Supervisor::reopen_output() {
  std::set<std::shared_ptr<OutputFile>> files{generation_->output};
  for (const auto& [id, worker] : processes_.all()) files.insert(worker->generation->output);
  files.erase(nullptr);
  for (const auto& file : files) {
    try {
      file->reopen();
      log::info("{} is opened again", file->path());
    } catch (const StartError& error) {
      log::error("{}; the old one is written to until the next USR1", error.what());
    }
  }
}

/// Once nobody writes any more: what waits for a slow reader would keep the loop from its end.
void Supervisor::end_output() {
  using namespace std::chrono_literals;
  for (const Generations& each : {generation_, old_generation_})
    if (each && each->output) each->output->sink().finish(1s);
  processes_.end_output();
}

}  // namespace baton
