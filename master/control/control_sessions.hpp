// Master. All connections to the control socket: how many there may be and wait, and their end. The group cuts them off
// from the master at its own end, so that nothing of the master is touched afterwards.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <memory>

#include "common/fd.hpp"
#include "master/control/commands.hpp"
#include "master/control/control.hpp"

namespace baton {

class ControlSession;

class ControlSessions : public std::enable_shared_from_this<ControlSessions> {
 public:
  ControlSessions(boost::asio::any_io_executor executor, Commands& commands, const ControlLimits& limits,
                  const ControlAccess& access);

  void add(Fd connection);
  /// Ends the one that has waited longest for a whole request. False where none waits.
  bool evict_one();
  /// No more requests; what is under way goes out within the time for closing.
  void close();
  /// Now. The commands are not touched any more.
  void abandon();

  [[nodiscard]] bool is_closing() const { return closing_; }
  /// Nothing once abandoned.
  [[nodiscard]] Commands* commands() const { return commands_; }
  [[nodiscard]] const ControlLimits& limits() const { return limits_; }
  [[nodiscard]] const ControlAccess& access() const { return access_; }
  [[nodiscard]] bool has_room_to_wait() const;
  void forget(ControlSession& session) { sessions_.remove(&session); }
  /// After a session's end: when it was the last, there is nothing left to wait for.
  void rest();

 private:
  [[nodiscard]] std::list<ControlSession*> all() const { return sessions_; }

  boost::asio::any_io_executor executor_;
  Commands* commands_;
  ControlLimits limits_;
  ControlAccess access_;
  std::list<ControlSession*> sessions_;  ///< open ones
  boost::asio::steady_timer deadline_;   ///< of closing
  bool closing_ = false;
};

}  // namespace baton
