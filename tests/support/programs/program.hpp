// Process and interop tests. One program that a test starts, with its output read through pipes, its signals sent and
// its end awaited through its pidfd. Whatever it leaves behind comes to the test (a subreaper), is killed, and is
// reported by strays().
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.hpp"
#include "tests/support/catch/deadline.hpp"

namespace baton::test {

/// XDG_RUNTIME_DIR of every program that is given no other: there baton's control sockets are, and none of anybody
/// else. Removed with what is in it when this process ends.
std::string runtime_directory();

struct Launch {
  std::vector<std::string> command;    ///< a path, or a name in PATH, and its arguments
  std::vector<std::string> variables;  ///< "NAME=value": on top of this process's, less BATON_… and NODE_…
  std::vector<int> descriptors;        ///< inherited under their own numbers, besides the standard streams
  std::function<void()> before_exec;   ///< in the child
};

class Program {
 public:
  explicit Program(const Launch& launch);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  /// Kills it with its process group, if it still runs.
  ~Program();

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  void kill_group() const;

  /// The first line of standard error that holds `part`, of those so far and those to come; the test fails without.
  std::string wait_for(std::string_view part) { return wait_for(part, 1).front(); }
  /// The first `count` such lines.
  std::vector<std::string> wait_for(std::string_view part, std::size_t count);
  /// The lines that hold `part`, of those that have been read.
  [[nodiscard]] std::vector<std::string> lines_with(std::string_view part) const;
  /// Reads on until the condition holds; false if it does not in time, or can't any more. It is asked whenever
  /// something was written.
  bool read_until(const std::function<bool()>& condition, const Deadline& deadline = Deadline());

  /// Its end, as "code 0" or "signal 9"; the test fails if it does not come.
  std::string wait_for_end();
  /// Nothing if it does not come in time.
  std::optional<std::string> try_wait_for_end(const Deadline& deadline);
  [[nodiscard]] bool has_ended() const { return ended_.has_value(); }

  /// What it has written so far, as far as it was waited for; whole after its end.
  [[nodiscard]] const std::string& output() const { return out_.text; }
  [[nodiscard]] const std::string& errors() const { return err_.text; }
  /// The whole lines of errors().
  [[nodiscard]] std::vector<std::string> lines() const;

 private:
  struct Stream {
    Fd pipe;
    std::string text;
    void drain();
  };
  /// Reads what arrives until the deadline, the program's end, or once something arrived.
  void read_some(const Deadline& deadline);
  [[noreturn]] void fail(const std::string& why) const;
  void show() const;

  std::string name_;
  pid_t pid_ = -1;
  Fd pidfd_;
  Stream out_;
  Stream err_;
  std::optional<std::string> ended_;
};

/// Processes that some program left behind when it ended, each as "pid 42: its command line". They are killed.
/// Those that are dying already are only awaited.
std::vector<std::string> strays();

/// A pidfd for a process that lives. Throws std::system_error.
Fd open_pidfd(pid_t pid);
void signal_process(const Fd& pidfd, int number);
/// Whether the process ended before the deadline.
bool has_ended(const Fd& pidfd, const Deadline& deadline = Deadline());

std::vector<std::string> split_lines(std::string_view text);

}  // namespace baton::test
