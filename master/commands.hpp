// Master. What can be asked of a running master, by signal or by the control socket: the one seam between those who
// ask and the supervisor who does.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "master/events.hpp"

namespace baton {

/// How a command ended, with a sentence that says so.
struct Outcome {
  bool ok = false;
  std::string message;
};

/// Called once, when the command has come to its end, or at once where that is known. Never after the master's end.
using Done = std::function<void(const Outcome&)>;

/// The number of workers that `amount` means where there are `from`: "8", "+2", "-1" (not below 0). Throws UsageError.
unsigned parse_amount(std::string_view amount, unsigned from);

class Commands {
 public:
  Commands() = default;
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;
  virtual ~Commands() = default;

  /// The workers, the listeners and what is going on: docs/control.md shows it.
  [[nodiscard]] virtual boost::json::object status() const = 0;
  /// `amount`: "8", "+2", "-1". Throws UsageError.
  virtual void scale(std::string_view amount, Done done) = 0;
  virtual void reload(Done done) = 0;
  virtual void stop(Done done) = 0;
  [[nodiscard]] virtual Events& events() = 0;
};

}  // namespace baton
