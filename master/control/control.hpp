// Master. The control socket: HTTP/1.1 and JSON over a Unix stream socket, answered from the table of verbs. Owns the
// listening socket and its file; connections own themselves and die with it. Runs on one Asio thread.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "master/control/commands.hpp"
#include "master/control/control_request.hpp"
#include "master/listeners/listener.hpp"
#include "master/system/watch.hpp"

namespace baton {

class ControlSessions;

struct ControlLimits {
  std::chrono::milliseconds request{10'000};  ///< for a whole request, from the end of the answer before
  std::chrono::milliseconds sending{10'000};  ///< for an answer, or a piece of the event stream, to be read
  std::chrono::milliseconds closing{1'000};   ///< for what is under way when close() is called
  std::size_t connections = 64;
  std::size_t waiting = 48;  ///< of these, connections that wait for a command's end or hear events
  std::size_t unread_events = std::size_t{1} << 20;  ///< bytes that may wait for one subscriber
};

/// Who may come in, and for what.
struct ControlAccess {
  Audience audience = Audience::owner;
  std::optional<uid_t> account = {};  ///< besides root and the master's own
};

class Control {
 public:
  /// Listens on `path`, with mode 0600 from its first moment, for the account if one is given. Throws StartError: also
  /// where another master lives there.
  Control(boost::asio::any_io_executor executor, Commands& commands, const std::string& path,
          const ControlLimits& limits = {}, const ControlAccess& access = {});
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  /// Ends every connection at once. Commands that they asked for go on.
  ~Control();

  [[nodiscard]] const std::string& path() const { return path_; }

  /// Accepts no more and removes the file. Answers that are under way, and those whose command ends within the time
  /// for closing, still go out: io_context::run() returns after them.
  void close();

 private:
  boost::asio::awaitable<void> accept_all(std::shared_ptr<ControlSessions> sessions);
  bool accept_ready();

  boost::asio::any_io_executor executor_;
  std::string path_;
  Listener listener_;
  std::unique_ptr<Watch> watch_;  ///< gone once closed
  std::shared_ptr<ControlSessions> sessions_;
  bool is_short_of_descriptors_ = false;
};

}  // namespace baton
