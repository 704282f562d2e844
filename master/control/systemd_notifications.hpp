// Master. systemd, or whoever else started baton with NOTIFY_SOCKET: is told by sd_notify(3) what happens. Hears it
// from the events, and from nothing else.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "common/notifier.hpp"
#include "master/control/commands.hpp"

namespace baton {

class SystemdNotifications {
 public:
  /// Takes NOTIFY_SOCKET and WATCHDOG_USEC out of the environment.
  SystemdNotifications(const boost::asio::any_io_executor& executor, Commands& commands);
  SystemdNotifications(const SystemdNotifications&) = delete;
  SystemdNotifications& operator=(const SystemdNotifications&) = delete;
  ~SystemdNotifications() = default;

  /// Nothing keeps the loop running from then on.
  void end();

 private:
  void on_event(const boost::json::object& event);
  void tell_if_all_ready();
  void tell_reload(const std::string& status);
  void tell_settled(std::string_view status);
  void feed_watchdog();
  void ask_for_time();

  Notifier notifier_;
  Commands& commands_;
  std::unique_ptr<Events::Subscription> subscription_;  ///< none: nobody is to be told
  std::chrono::microseconds watchdog_;                  ///< 0: none waits
  boost::asio::steady_timer watchdog_timer_;
  boost::asio::steady_timer stop_timer_;
  bool is_ready_ = false;
};

}  // namespace baton
