// Master. One child process: spawned by Boost.Process, then known by its pidfd, so that no signal ever reaches a
// process that merely got the same number.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.hpp"

namespace baton {

/// What to run. The child gets the standard streams (input from /dev/null), `channel`, and no other descriptor.
struct Command {
  std::string executable;              ///< a path
  std::vector<std::string> arguments;  ///< from argv[0] on
};

/// What to do about a spawn that failed with this errno, in brackets, or nothing.
std::string way_out(int error);

/// The path of the program that `name` means to a shell. Throws StartError.
std::string find_program(const std::string& name);

/// How a child ended.
struct Ending {
  bool by_signal = false;
  int number = 0;  ///< exit code, or signal
  bool core_dumped = false;

  [[nodiscard]] bool is_clean() const { return !by_signal && number == 0; }
};

/// "exited with code 1", "was killed by SIGSEGV (Segmentation fault, core dumped)"
std::string describe(const Ending& ending);

class Child {
 public:
  /// fork + exec, in a process group of its own, so that a terminal's Ctrl-C reaches the master alone, and with
  /// default signal handling. `variables` ("NAME=value") come on top of this process's environment; a bare "NAME" is
  /// taken out of it.
  /// `open_files` is its limit of those; nothing: this process's.
  /// Throws StartError when the program can't be run.
  static Child spawn(const boost::asio::any_io_executor& executor, const Command& command, const Fd& channel,
                     const std::vector<std::string>& variables, const std::optional<rlimit>& open_files);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable once the child has ended.
  [[nodiscard]] const Fd& pidfd() const { return pidfd_; }

  /// Bytes of memory that it holds itself now (VmRSS); 0 where that can't be read.
  [[nodiscard]] std::uint64_t resident_memory() const;

  /// No effect on a child that has ended.
  void signal(int number) const;
  /// The child and whatever it started in its process group. Only before reap().
  void kill_group() const;
  /// Whether it has ended by now, or does within that time.
  [[nodiscard]] bool has_ended(int patience_ms = 0) const;
  /// Collects the child, which must have ended. Throws std::system_error.
  [[nodiscard]] Ending reap() const;

 private:
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;
  Fd pidfd_;
};

}  // namespace baton
