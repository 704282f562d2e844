// Master. One child process: spawned by Boost.Process, then known by its pidfd, so that no signal ever reaches a
// process that merely got the same number.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "master/system/child_traits.hpp"

namespace baton {

/// What to run.
struct Command {
  std::string executable;              ///< a path
  std::vector<std::string> arguments;  ///< from argv[0] on
};

/// How a child is to be at its start, besides what it runs.
struct SpawnSetup {
  /// In the child they are 3, 4, 5 …; it gets the standard streams besides (input from /dev/null), and no others.
  std::vector<Fd> descriptors;
  /// Its standard output and error; where none is given, this process's.
  Fd output;
  Fd errors;
  /// "NAME=value" on top of this process's environment; a bare "NAME" is taken out of it.
  std::vector<std::string> variables;
  /// The variable that is to hold the child's own pid; empty: none.
  std::string pid_variable;
  ChildTraits traits;
};

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
  /// default signal handling. Throws StartError when the program can't be run.
  static Child spawn(const boost::asio::any_io_executor& executor, const Command& command, const SpawnSetup& setup);

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
