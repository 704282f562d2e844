// Master. The file of a Unix socket that we listen on: removed with its listener. A stale one of somebody else's is in
// the way of bind(2), and goes there (listener.cpp).
#pragma once

#include <sys/stat.h>

#include <string>

namespace baton {

/// A Unix socket's file, removed with this object if it is still the one that was bound: a successor may have put
/// its own in the place.
class SocketFile {
 public:
  explicit SocketFile(std::string path);
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;
  ~SocketFile();

 private:
  void remove() noexcept;

  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace baton
