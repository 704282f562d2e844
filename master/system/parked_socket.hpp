// Master. A socket that is kept without being held: it waits in a Unix socket's queue, where the kernel keeps it alive
// though no descriptor of this process refers to it. A copy can be taken out at any time.
#pragma once

#include "common/fd.hpp"

namespace baton {

class ParkedSocket {
 public:
  /// None.
  ParkedSocket() = default;
  /// Parks it, and closes this descriptor of it. Throws std::system_error.
  explicit ParkedSocket(Fd socket);

  [[nodiscard]] bool is_empty() const { return !keeper_.is_open(); }
  /// A descriptor for it, the caller's, CLOEXEC. Throws std::system_error: EMFILE, or EBADF where there is none.
  [[nodiscard]] Fd copy() const;
  /// Gives it up.
  void empty() { keeper_.reset(); }

 private:
  Fd keeper_;  ///< the Unix socket in whose queue it waits
};

}  // namespace baton
