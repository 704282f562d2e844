// Doctor. The clients of a load.
#include "master/doctor/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string_view>
#include <utility>

#include "master/system/task.hpp"

namespace baton::doctor {
namespace {

namespace asio = boost::asio;

// By ProbeResult; whoever is answered, be it not in HTTP, has lost nothing.
constexpr std::array<std::string_view, 6> loss_names{"", "", "cut off", "reset", "refused", "without an answer"};

}  // namespace

std::chrono::milliseconds patience_among(std::size_t clients, std::chrono::microseconds alone) {
  return std::max(ProbeClient::usual_patience, std::chrono::ceil<std::chrono::milliseconds>(2 * clients * alone));
}

Load::Load(asio::any_io_executor executor, Way way) : executor_(std::move(executor)), way_(std::move(way)) {}

void Load::start(unsigned clients, std::size_t most) {
  tally_->most = most;
  tally_->clients = clients;
  for (unsigned i = 0; i < clients; ++i) start_task(executor_, ask_on(executor_, way_, tally_));
}

asio::awaitable<void> Load::ask_on(asio::any_io_executor executor, Way way, std::shared_ptr<Tally> tally) {
  asio::steady_timer silence(executor);
  while (!tally->stops && tally->asked < tally->most) {
    ++tally->asked;
    ProbeClient client(executor, way.place, way.path, way.patience);
    Probe probe;
    probe.result = ProbeResult::refused;
    const bool is_heard = co_await client.connect();
    if (is_heard && way.lateness.count() > 0) {
      silence.expires_after(way.lateness);
      co_await silence.async_wait(asio::use_awaitable);
    }
    if (is_heard) probe = co_await client.ask(false);
    ++tally->results.at(static_cast<std::size_t>(probe.result));
  }
  --tally->clients;
}

std::size_t Load::count_lost(std::size_t result) const {
  const bool is_answer =
      loss_names.at(result).empty() || (!way_.is_http && static_cast<ProbeResult>(result) == ProbeResult::cut_off);
  return is_answer ? 0 : tally_->results.at(result);
}

std::size_t Load::lost() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < loss_names.size(); ++i) sum += count_lost(i);
  return sum;
}

std::string Load::losses() const {
  std::string text;
  for (std::size_t i = 0; i < loss_names.size(); ++i)
    if (count_lost(i) > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count_lost(i), loss_names.at(i));
  return text;
}

}  // namespace baton::doctor
