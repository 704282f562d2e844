// Master. The events that one client of the control socket has asked for, from the moment of asking until they are
// sent. Owns the subscription and the bytes.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "master/control/events.hpp"

namespace baton {

class EventFeed {
 public:
  /// Hears from now on. `prefix`: only events whose `key` begins with it; empty: all. `on_event` runs after each that
  /// counts, and may call end(), but not destroy the feed. Does not outlive `events`, unless it has been ended.
  EventFeed(Events& events, std::string prefix, std::function<void()> on_event);

  /// Hears nothing more.
  void end() { subscription_.reset(); }

  [[nodiscard]] bool empty() const { return unsent_.empty(); }
  /// Bytes that wait.
  [[nodiscard]] std::size_t size() const { return unsent_.size(); }
  /// The next bytes to be sent, with a bound, as a chunk of HTTP where that is asked for. Not where it is empty.
  std::string take_piece(bool is_chunked);

 private:
  void add(const boost::json::object& event);

  std::string prefix_;
  std::function<void()> on_event_;
  std::string unsent_;
  std::unique_ptr<Events::Subscription> subscription_;
};

}  // namespace baton
