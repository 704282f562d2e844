// Master. What a worker tells about itself by sd_notify(3): the NOTIFY_SOCKET protocol of systemd, of which baton is
// the receiving side here. Owns one datagram socket for one worker, so that nobody has to be told from the others by
// pid.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/fd.hpp"

namespace baton {

struct Notice {
  bool ready = false;                 ///< READY=1
  bool alive = false;                 ///< WATCHDOG=1
  bool hung = false;                  ///< WATCHDOG=trigger: it says so itself
  std::optional<std::string> status;  ///< STATUS=…
};

class NoticeSocket {
 public:
  /// Under an abstract name that the kernel chooses. Throws std::system_error.
  NoticeSocket();

  [[nodiscard]] const Fd& socket() const { return socket_; }
  /// For NOTIFY_SOCKET: "@0002f".
  [[nodiscard]] const std::string& address() const { return address_; }

  /// Everything that has arrived, put together. Datagrams of other users are ignored, but for `worker` itself, which
  /// may have changed its user; descriptors that come along are closed.
  [[nodiscard]] Notice receive(pid_t worker);

 private:
  Fd socket_;
  std::string address_;
};

/// Adds what one datagram says.
void read_notice(std::string_view datagram, Notice& notice);

}  // namespace baton
