// Master. An event that is about one worker.
#pragma once

#include <string>
#include <string_view>

#include "master/control/events.hpp"
#include "master/process/worker_handle.hpp"

namespace baton {

/// Publishes it with the worker's number, pid and generation.
inline void tell(Events& events, std::string_view event, const WorkerHandle& worker, const std::string& message) {
  events.tell(event, message,
              {{"worker", worker.number}, {"pid", worker.child.pid()}, {"generation", worker.generation->number}});
}

}  // namespace baton
