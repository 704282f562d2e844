// Any process. Tells the supervisor of this process what sd_notify(3) tells: baton's master, or systemd. Owns a socket.
#pragma once

#include <string>
#include <string_view>

#include "common/fd.hpp"

namespace baton {

class Notifier {
 public:
  /// Takes the address out of NOTIFY_SOCKET, which it unsets. Without one, or with one of an unknown kind, it tells
  /// nobody anything.
  Notifier();

  [[nodiscard]] bool is_open() const { return socket_.is_open(); }

  /// At once or not at all: a supervisor that does not read must not hold this process up.
  void tell(std::string_view line) const noexcept;
  /// What must not be lost: waits, for a second at most.
  void tell_surely(std::string_view line) const noexcept;

 private:
  Fd socket_;  ///< none: nobody is to be told
};

}  // namespace baton
