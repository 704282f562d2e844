// Any process. Owns one descriptor: every descriptor in baton lives in exactly one of these.
// After kj's OwnFd: move-only, no implicit conversion to int or bool, a visible release().
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "common/error.hpp"

namespace baton {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int descriptor) noexcept : descriptor_(descriptor) {}
  Fd(Fd&& other) noexcept : descriptor_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }

  /// Gives the descriptor up without closing it: the caller owns it now.
  [[nodiscard]] int release() noexcept { return std::exchange(descriptor_, -1); }

  /// Closes what is held, if anything, and takes `descriptor`.
  /// close(2) is not retried on EINTR: Linux has released the number by then, and it may be another's already.
  void reset(int descriptor = -1) noexcept {
    if (const int old = std::exchange(descriptor_, descriptor); old >= 0) ::close(old);
  }

  /// A second descriptor for the same open file, CLOEXEC like all of ours. Throws std::system_error.
  [[nodiscard]] Fd duplicate() const {
    return Fd{check(::fcntl(descriptor_, F_DUPFD_CLOEXEC, 0), "fcntl(F_DUPFD_CLOEXEC)")};
  }

 private:
  int descriptor_ = -1;
};

/// Makes reads, writes and accepts on `fd` return at once. Throws std::system_error.
/// The flag lives in the open file description, so every process that shares a listener sees it.
inline void set_nonblocking(const Fd& fd) {
  const int flags = check(::fcntl(fd.get(), F_GETFL), "fcntl(F_GETFL)");
  if ((flags & O_NONBLOCK) == 0) check(::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK), "fcntl(F_SETFL)");
}

/// Makes them wait again.
inline void set_blocking(const Fd& fd) {
  const int flags = check(::fcntl(fd.get(), F_GETFL), "fcntl(F_GETFL)");
  if ((flags & O_NONBLOCK) != 0) check(::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK), "fcntl(F_SETFL)");
}

inline void set_cloexec(const Fd& fd) {
  check(::fcntl(fd.get(), F_SETFD, FD_CLOEXEC), "fcntl(F_SETFD)");
}

}  // namespace baton
