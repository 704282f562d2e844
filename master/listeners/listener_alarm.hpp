// Master. Rings when somebody shuts a parked listener down, so that it can be mended before many clients are refused.
// Owns an epoll instance. It watches sockets of which this process has no descriptor: epoll keeps to the open socket,
// and forgets it when the last process, or the vault, lets go of it.
#pragma once

#include "common/fd.hpp"

namespace baton {

class ListenerAlarm {
 public:
  /// Throws std::system_error.
  ListenerAlarm();

  /// `listener` may be closed afterwards, as long as it is parked. Once for each socket. Throws std::system_error.
  void watch(const Fd& listener);

  /// Readable when it rings.
  [[nodiscard]] const Fd& fd() const { return epoll_; }
  /// Takes note; it is silent until the next time.
  void silence();

 private:
  Fd epoll_;
};

}  // namespace baton
