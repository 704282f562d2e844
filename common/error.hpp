// Any process. The three kinds of failure: would-block is a value, a peer's fault is a result,
// a broken system call throws std::system_error with the call's name.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace baton {

/// The user gave something wrong: a flag, a value, a file, an address. Ends the program with exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The user asked for something right that can't be had now: a port in use, a missing permission. Exit code 1.
struct StartError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Passes a system call's result through; throws std::system_error named `call` where it is -1.
template <class Result>
Result check(Result result, const char* call) {
  if (result == -1) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

/// "permission denied" for EACCES: the C library's text, beginning in lower case as our sentences go on.
inline std::string describe_errno(int error) {
  std::string text = std::generic_category().message(error);
  if (text.size() > 1 && text[1] >= 'a' && text[1] <= 'z' && text[0] >= 'A' && text[0] <= 'Z')
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

}  // namespace baton
