// Master. Workers that are to be replaced though their generation is current: a successor is started, and takes over
// before they go.
#pragma once

#include <cstdint>
#include <string_view>

#include "master/control/events.hpp"
#include "master/pool/pool.hpp"
#include "master/process/worker_handle.hpp"

namespace baton {

class Recycling {
 public:
  enum class Cause : std::uint8_t {
    wear,   ///< its time is over, or its memory full
    fault,  ///< its own: it counts like a death
  };

  Recycling(Pool& pool, Events& events) : pool_(pool), events_(events) {}

  /// `why` goes on from the worker's name. Does nothing for one that leaves already.
  void replace(const WorkerHandle& worker, std::string_view why, Cause cause = Cause::wear);
  /// The worker asks for it. A command that does so soon does so again and again: that is a fault.
  void replace_on_request(const WorkerHandle& worker, std::string_view why);
  /// The same as a fault, which is warned of: it may have changed a listener that others serve, too.
  void replace_for_tampering(const WorkerHandle& worker);

 private:
  [[nodiscard]] bool can_replace(const WorkerHandle& worker) const;

  Pool& pool_;
  Events& events_;
};

}  // namespace baton
