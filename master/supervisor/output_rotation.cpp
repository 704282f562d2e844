// Master. Each file once, since generations share them.
#include "master/supervisor/output_rotation.hpp"

#include <chrono>
#include <memory>
#include <set>

#include "common/error.hpp"
#include "common/log.hpp"

namespace baton {

void reopen_output(const Generations& generations, const ProcessTable& processes) {
  std::set<std::shared_ptr<OutputFile>> files{generations.current()->output};
  for (const auto& [id, worker] : processes.all()) files.insert(worker->generation->output);
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

void finish_output(const Generations& generations, ProcessTable& processes) {
  using namespace std::chrono_literals;
  for (const Generations::Pointer& each : {generations.current(), generations.previous()})
    if (each && each->output) each->output->sink().finish(1s);
  processes.end_output();
}

}  // namespace baton
