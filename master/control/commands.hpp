// Master. What can be asked of a running master, by signal or by the control socket: the one seam between those who
// ask and the supervisor who does.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "master/control/addressee.hpp"
#include "master/control/events.hpp"
#include "master/state/operation.hpp"

namespace baton {

/// How a command ended, with a sentence that says so.
struct Outcome {
  bool ok = false;
  std::string message;
  std::string reply = {};  ///< a worker's, in JSON; empty: nobody was asked for one
  std::string code = {};   ///< of a message's failure, as in docs/messages.md
};

/// Called once, when the command has come to its end, or at once where that is known. Never after the master's end.
using Done = std::function<void(const Outcome&)>;

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
  /// To workers. With a time limit one of them is asked, and the outcome has its reply. Throws UsageError.
  virtual void send(const Addressee& to, const boost::json::value& message,
                    std::optional<std::chrono::milliseconds> time_limit, Done done) = 0;
  /// The shared state: the answer in JSON. Throws state::Refusal.
  virtual std::string carry_out(const state::Operation& operation) = 0;
  /// Its changes.
  [[nodiscard]] virtual Events& changes() = 0;
  [[nodiscard]] virtual Events& events() = 0;
};

}  // namespace baton
