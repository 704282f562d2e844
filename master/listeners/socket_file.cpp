// Master. A Unix socket's file is known by its device and inode.
#include "master/listeners/socket_file.hpp"

#include <unistd.h>

#include <utility>

#include "common/error.hpp"

namespace baton {

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
  struct stat bound {};
  check(::lstat(path_.c_str(), &bound), "lstat");
  device_ = bound.st_dev;
  inode_ = bound.st_ino;
}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  if (this == &other) return *this;
  remove();
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

SocketFile::~SocketFile() {
  remove();
}

void SocketFile::remove() noexcept {
  if (path_.empty()) return;
  struct stat found {};
  if (::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) ::unlink(path_.c_str());
  path_.clear();
}

}  // namespace baton
