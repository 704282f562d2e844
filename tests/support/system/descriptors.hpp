// Tests. Looks at this process's own descriptors: none may be left over when a test ends, and now and then there has
// to be no room for one more.
#pragma once

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {

/// What is open, as "number -> what it is", in the order of the numbers; without the one that looks.
inline std::vector<std::string> open_descriptors() {
  std::vector<std::string> found;
  std::error_code gone;  // the descriptor that reads the directory is listed, and closed before it is looked at
  std::vector<std::filesystem::path> entries;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) entries.push_back(entry.path());
  for (const auto& entry : entries) {
    const auto target = std::filesystem::read_symlink(entry, gone);
    if (!gone) found.push_back(entry.filename().string() + " -> " + target.string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Compares what is open at its end with what was open at its beginning. Declare it before anything that owns one.
class NoLeak {
 public:
  NoLeak() = default;
  NoLeak(const NoLeak&) = delete;
  NoLeak& operator=(const NoLeak&) = delete;
  ~NoLeak() {
    const std::vector<std::string> after = open_descriptors();
    CHECK(after == before_);
  }

 private:
  std::vector<std::string> before_ = open_descriptors();
};

/// Lowers RLIMIT_NOFILE so that `room` more descriptors fit and not one beyond, until its end.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t room) {
    check(::getrlimit(RLIMIT_NOFILE, &before_), "getrlimit");
    // The kernel gives the lowest free numbers: take that many, and see which would be next.
    std::vector<Fd> taken;
    for (rlim_t i = 0; i <= room; ++i) taken.emplace_back(check(::dup(STDERR_FILENO), "dup"));
    rlimit lowered = before_;
    lowered.rlim_cur = static_cast<rlim_t>(taken.back().get());
    check(::setrlimit(RLIMIT_NOFILE, &lowered), "setrlimit");
  }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

/// How many descriptors the epoll instances of this process watch, those included whose number is closed here while
/// another process, or a duplicate, keeps the open file alive.
inline std::size_t watches() {
  std::size_t count = 0;
  for (const std::string& each : open_descriptors()) {
    if (each.find("[eventpoll]") == std::string::npos) continue;
    std::ifstream info("/proc/self/fdinfo/" + each.substr(0, each.find(' ')));
    for (std::string line; std::getline(info, line);)
      if (line.starts_with("tfd:")) ++count;
  }
  return count;
}

/// Whether an epoll instance of this process would return at once, now: after a turn it spins if it still would.
inline bool is_any_watch_ready() {
  for (const std::string& each : open_descriptors()) {
    if (each.find("[eventpoll]") == std::string::npos) continue;
    pollfd instance{std::stoi(each), POLLIN, 0};
    if (::poll(&instance, 1, 0) > 0) return true;
  }
  return false;
}

}  // namespace baton::test
