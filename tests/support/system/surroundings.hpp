// Unit tests. Parts of this process's surroundings that a test changes and that are put back: environment variables,
// standard error.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>

#include "common/fd.hpp"

namespace baton::test {

/// An environment variable for as long as this lives; without a value it is absent.
class Variable {
 public:
  explicit Variable(std::string name, const std::optional<std::string>& value = std::nullopt) : name_(std::move(name)) {
    if (const char* old = std::getenv(name_.c_str())) old_ = old;
    put(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { put(old_); }

 private:
  void put(const std::optional<std::string>& value) const {
    if (value)
      ::setenv(name_.c_str(), value->c_str(), 1);
    else
      ::unsetenv(name_.c_str());
  }

  std::string name_;
  std::optional<std::string> old_;
};

/// What is written to standard error for as long as this lives.
class CapturedErrors {
 public:
  CapturedErrors()
      : before_(check(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), "fcntl")),
        file_(check(::memfd_create("stderr", MFD_CLOEXEC), "memfd_create")) {
    check(::dup2(file_.get(), STDERR_FILENO), "dup2");
  }
  CapturedErrors(const CapturedErrors&) = delete;
  CapturedErrors& operator=(const CapturedErrors&) = delete;
  ~CapturedErrors() { ::dup2(before_.get(), STDERR_FILENO); }

  [[nodiscard]] std::string text() const {
    std::string all(1 << 20, '\0');
    all.resize(static_cast<std::size_t>(check(::pread(file_.get(), all.data(), all.size(), 0), "pread")));
    return all;
  }

 private:
  Fd before_;
  Fd file_;
};

}  // namespace baton::test
