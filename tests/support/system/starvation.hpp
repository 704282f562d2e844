// Any test. Tells a machine without a free CPU from a program that is slow: a thread that waits for a
// CPU could run, and the kernel counts how long; a thread that does not do what it should sleeps, or runs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace baton::test {

/// How long the threads of a process that live now have waited for a CPU since they began, altogether, by
/// /proc/PID/task/TID/schedstat. Nothing of a process that is no more, or by a kernel that does not count.
std::map<pid_t, std::chrono::nanoseconds> run_delays(pid_t pid);

/// A stop watch for what this process and others do by turns. The bound that it is compared with holds on any machine,
/// for only the time in which none of them waited for a CPU is charged to them. (Where two wait at once, both count:
/// what sleeps through its turn is still charged for it all.)
class ChargedTime {
 public:
  /// Starts. `concerned`: besides this process.
  explicit ChargedTime(std::vector<pid_t> concerned);

  struct Reading {
    std::chrono::milliseconds charged;
    std::chrono::milliseconds passed;
    std::chrono::milliseconds starved;
  };
  /// What a process waited for after the last reading and before its end is charged: read now and then where one ends.
  [[nodiscard]] Reading read();

 private:
  using Delays = std::map<pid_t, std::chrono::nanoseconds>;  ///< by thread
  [[nodiscard]] Delays delays() const;

  const std::vector<pid_t> concerned_;
  const Delays before_;
  Delays last_ = before_;
  const std::chrono::steady_clock::time_point began_;
};

inline bool operator<(const ChargedTime::Reading& a, const ChargedTime::Reading& b) {
  return a.charged < b.charged;
}
inline bool operator<=(const ChargedTime::Reading& a, const ChargedTime::Reading& b) {
  return a.charged <= b.charged;
}
/// For a failed CHECK.
std::ostream& operator<<(std::ostream& stream, const ChargedTime::Reading& reading);

}  // namespace baton::test
