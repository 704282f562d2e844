// Master. What is told, and when.
#include "master/control/systemd_notifications.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <limits>

#include "common/error.hpp"
#include "common/log.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

using namespace std::chrono_literals;

/// While workers finish, this much more time is asked for each time that the half of it is over.
constexpr std::chrono::seconds more_time = 10s;

std::string taken_variable(const char* name) {
  const char* const text = std::getenv(name);
  std::string value = text != nullptr ? text : "";
  ::unsetenv(name);
  return value;
}

/// As sd_watchdog_enabled(3).
std::chrono::microseconds take_watchdog_time() {
  const std::string time = taken_variable("WATCHDOG_USEC");
  const std::string pid = taken_variable("WATCHDOG_PID");
  if (time.empty() || (!pid.empty() && pid != std::to_string(::getpid()))) return 0us;
  constexpr std::uint64_t most = std::uint64_t{1} << 52;
  try {
    return std::chrono::microseconds(parse_count(time, 1, most, "a number of microseconds"));
  } catch (const UsageError& error) {
    log::warning("WATCHDOG_USEC: {}; it is not fed", error.what());
    return 0us;
  }
}

/// By which systemd tells this reload's READY=1 from an earlier one.
std::uint64_t monotonic_usec() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  constexpr std::uint64_t usec_per_sec = 1'000'000;
  constexpr std::uint64_t nsec_per_usec = 1000;
  return static_cast<std::uint64_t>(now.tv_sec) * usec_per_sec +
         static_cast<std::uint64_t>(now.tv_nsec) / nsec_per_usec;
}

std::string_view text_of(const boost::json::object& event, const char* name) {
  const boost::json::value* const found = event.if_contains(name);
  return found != nullptr && found->is_string() ? std::string_view(found->get_string()) : std::string_view{};
}

std::int64_t number_of(const boost::json::object& event, const char* name) {
  const boost::json::value* const found = event.if_contains(name);
  boost::system::error_code error;
  return found != nullptr && found->is_number() ? found->to_number<std::int64_t>(error) : 0;
}

}  // namespace

SystemdNotifications::SystemdNotifications(const boost::asio::any_io_executor& executor, Commands& commands)
    : commands_(commands), watchdog_(take_watchdog_time()), watchdog_timer_(executor), stop_timer_(executor) {
  if (!notifier_.is_open()) return;
  subscription_ = commands_.events().subscribe([this](const auto& event) { on_event(event); });
  feed_watchdog();
  tell_if_all_ready();
}

void SystemdNotifications::end() {
  subscription_.reset();
  watchdog_timer_.cancel();
  stop_timer_.cancel();
}

void SystemdNotifications::on_event(const boost::json::object& event) {
  const std::string_view name = text_of(event, "event");
  if (name == "worker_ready" && !is_ready_) return tell_if_all_ready();
  if (name == "reload_began")
    return tell_reload(fmt::format("reload: 0 of {} workers replaced", number_of(event, "of")));
  if (name == "reload_progress")
    return notifier_.tell(
        fmt::format("STATUS=reload: {} of {} workers replaced", number_of(event, "done"), number_of(event, "of")));
  if (name == "reload_refused") tell_reload("reload refused");
  if (name == "reload_done" || name == "reload_failed" || name == "reload_refused" || name == "scale_done")
    return tell_settled(text_of(event, "message"));
  if (name != "stopping") return;
  notifier_.tell_surely("STOPPING=1\nSTATUS=workers finish what they are answering");
  ask_for_time();
}

void SystemdNotifications::tell_if_all_ready() {
  const boost::json::object status = commands_.status();
  const std::int64_t wanted = number_of(status, "target");
  if (number_of(status, "ready") < wanted) return;
  is_ready_ = true;
  tell_settled(fmt::format("{} worker{} ready", wanted, wanted == 1 ? " is" : "s are"));
}

void SystemdNotifications::tell_reload(const std::string& status) {
  notifier_.tell_surely(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS={}", monotonic_usec(), status));
}

/// Before the first time it is not ready, whatever else has come to an end.
void SystemdNotifications::tell_settled(std::string_view status) {
  if (is_ready_) notifier_.tell_surely(fmt::format("READY=1\nSTATUS={}", status));
}

/// From the loop that does the work: where that stands still, nobody feeds it.
void SystemdNotifications::feed_watchdog() {
  if (watchdog_ == 0us) return;
  notifier_.tell("WATCHDOG=1");
  watchdog_timer_.expires_after(watchdog_ / 2);
  watchdog_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && subscription_) feed_watchdog();
  });
}

void SystemdNotifications::ask_for_time() {
  stop_timer_.expires_after(more_time / 2);
  stop_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled || !subscription_) return;
    notifier_.tell(fmt::format("EXTEND_TIMEOUT_USEC={}", std::chrono::microseconds(more_time).count()));
    ask_for_time();
  });
}

}  // namespace baton
