// Master. What a worker tells about itself by sd_notify(3): the NOTIFY_SOCKET protocol of systemd, of which baton is
// the receiving side here. Owns one datagram socket for one worker, so that nobody has to be told from the others by
// pid.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "common/fd.hpp"

namespace baton {

struct Notification {
  bool ready = false;                 ///< READY=1
  bool alive = false;                 ///< WATCHDOG=1
  bool hung = false;                  ///< WATCHDOG=trigger: it says so itself
  bool reloading = false;             ///< RELOADING=1: READY=1 follows when it has
  bool stopping = false;              ///< STOPPING=1: it is about to end, though it may answer what it has
  std::optional<std::string> status;  ///< STATUS=…
};

class NotifySocket {
 public:
  /// Under an abstract name that the kernel chooses, for a worker that runs as `user`. Throws std::system_error.
  explicit NotifySocket(uid_t user = ::geteuid());

  [[nodiscard]] const Fd& socket() const { return socket_; }
  /// For NOTIFY_SOCKET: "@0002f".
  [[nodiscard]] const std::string& address() const { return address_; }

  /// Everything that has arrived, put together. Datagrams of users other than the master's, the worker's and root are
  /// ignored, but for `worker` itself, which may have changed its user; descriptors that come along are closed.
  [[nodiscard]] Notification receive(pid_t worker);

 private:
  uid_t user_;
  Fd socket_;
  std::string address_;
};

/// Adds what one datagram says.
void read_notification(std::string_view datagram, Notification& notification);

}  // namespace baton
