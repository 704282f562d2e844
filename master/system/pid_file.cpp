// Master. The lock, not the number in it, says whether a pid file is in use: a number may be another process's by now.
#include "master/system/pid_file.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <utility>

#include "common/error.hpp"

namespace baton {
namespace {

bool is_same_file(const Fd& fd, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd.get(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

std::string holder(const Fd& fd) {
  std::array<char, 24> text{};
  const ssize_t count = ::pread(fd.get(), text.data(), text.size(), 0);
  const std::string pid(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  return pid.substr(0, pid.find('\n'));
}

}  // namespace

PidFile::PidFile(std::string path) : path_(std::move(path)) {
  const auto fail = [this](const std::string& why) {
    throw StartError(fmt::format("can't use the pid file {}: {}", path_, why));
  };
  do {
    locked_ = Fd{::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644)};
    if (!locked_.is_open()) fail(describe_errno(errno));
    struct stat opened {};
    check(::fstat(locked_.get(), &opened), "fstat");
    if (!S_ISREG(opened.st_mode)) fail("it is not a regular file");
    if (::flock(locked_.get(), LOCK_EX | LOCK_NB) == -1)
      fail(fmt::format("a baton with pid {} is running with it", holder(locked_)));
    // Its former holder may have removed it between our open and our lock: then we hold a file that nobody finds.
  } while (!is_same_file(locked_, path_));
  const std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(locked_.get(), 0) == -1 ||
      ::pwrite(locked_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    const int error = errno;
    ::unlink(path_.c_str());
    fail(describe_errno(error));
  }
}

PidFile::~PidFile() {
  if (is_same_file(locked_, path_)) ::unlink(path_.c_str());
}

}  // namespace baton
