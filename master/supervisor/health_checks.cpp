// Master. The look around.
#include "master/supervisor/health_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

Milliseconds interval(const Options& options) {
  constexpr Milliseconds longest = 1s;
  constexpr Milliseconds shortest = 20ms;
  if (options.hang_timeout.count() == 0) return longest;
  return std::clamp(options.hang_timeout / 4, shortest, longest);
}

}  // namespace

asio::awaitable<void> HealthChecks::follow(std::function<void(TimePoint)> looked) {
  while (!parts_.pool.has_ended()) {
    const Milliseconds pause = interval(parts_.generations.options());
    const TimePoint began = std::chrono::steady_clock::now();
    timer_.expires_at(began + pause);
    boost::system::error_code cancelled;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled || parts_.pool.has_ended()) break;
    const TimePoint now = std::chrono::steady_clock::now();
    // A master that was stopped, or starved, has not read yet what its workers said meanwhile.
    const bool was_away = now - began > 2 * pause;
    if (!was_away) find_hung(now);
    find_worn_out(now);
    find_mute();
    looked(now);
  }
}

void HealthChecks::find_hung(TimePoint now) {
  std::vector<int> silent;
  for (const auto& [id, worker] : parts_.processes.all()) {
    const Milliseconds patience = worker->generation->options.hang_timeout;
    const State state = parts_.pool.state(id);
    const bool is_watched = patience.count() > 0 && (state == State::ready || state == State::draining);
    if (is_watched && parts_.processes.last_sign(*worker) + patience < now) silent.push_back(id);
  }
  for (const int id : silent) {
    const WorkerHandle& worker = parts_.processes.at(id);
    parts_.losses.on_hung(
        worker, fmt::format("has not been heard of for {} ms", worker.generation->options.hang_timeout.count()));
  }
}

void HealthChecks::find_worn_out(TimePoint now) {
  for (const auto& [id, worker] : parts_.processes.all()) {
    const Options& options = worker->generation->options;
    if (worker->retires_at <= now)
      parts_.recycling.replace(
          *worker, fmt::format("has lived for {} s",
                               std::chrono::duration_cast<std::chrono::seconds>(now - worker->started).count()));
    if (options.max_memory == 0) continue;
    if (const std::uint64_t held = worker->child.resident_memory(); held >= options.max_memory)
      parts_.recycling.replace(*worker, fmt::format("holds {} MiB of memory", held >> 20));
  }
}

/// Without its channel a worker gets no connections. One that dies is not to be taken for it: its channel ends a moment
/// before.
void HealthChecks::find_mute() {
  if (!parts_.handing.is_active()) return;
  for (const auto& [id, worker] : parts_.processes.all())
    if (!worker->channel_end && worker->is_ready && !worker->child.has_ended())
      parts_.recycling.replace(*worker, "has closed its channel");
}

}  // namespace baton
