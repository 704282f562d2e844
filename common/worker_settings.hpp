// Any process. What the embedded worker can be told. The master takes it as flags of its own and passes it on as the
// worker's arguments; a worker forked by a Node master reads the same names from its arguments and environment.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/log.hpp"
#include "common/settings.hpp"

namespace baton {

struct WorkerSettings {
  std::size_t max_header = std::size_t{16} << 10;    ///< bytes of request line and header fields
  std::uint64_t max_body = std::uint64_t{1} << 20;   ///< bytes of one request's body
  std::chrono::milliseconds header_timeout{10'000};  ///< from a request's first byte to its header's end
  std::chrono::milliseconds body_timeout{60'000};    ///< from the header's end to the body's
  std::chrono::milliseconds idle_timeout{75'000};    ///< between requests, and without progress in sending
  std::size_t max_connections = 16'384;              ///< open at once; lowered to what RLIMIT_NOFILE allows
  std::uint64_t max_requests = 0;  ///< answered before it asks to be replaced, less up to a tenth; 0: no limit
  /// Between two signs of life on the channel; 0: none. The master's business, so there is no flag for it but the
  /// worker's own.
  std::chrono::milliseconds heartbeat{0};
  /// With the other workers on the scoreboard. The master's, as well.
  bool take_turns = false;
  log::Options log;
};

void add_worker_settings(Settings& settings, WorkerSettings& values);
/// What the master alone tells its workers.
void add_inner_worker_settings(Settings& settings, WorkerSettings& values);

/// The arguments from which add_worker_settings() reads the same values again.
std::vector<std::string> to_arguments(const WorkerSettings& values);

}  // namespace baton
