// Any test. How long processes have waited for a CPU.
#include "tests/support/system/starvation.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace baton::test {

std::map<pid_t, std::chrono::nanoseconds> run_delays(pid_t pid) {
  std::map<pid_t, std::chrono::nanoseconds> found;
  std::error_code gone;
  std::filesystem::directory_iterator tasks(fmt::format("/proc/{}/task", pid), gone);
  for (const std::filesystem::directory_iterator end; !gone && tasks != end; tasks.increment(gone)) {
    std::uint64_t ran = 0;
    std::int64_t waited = 0;
    if (std::ifstream(tasks->path() / "schedstat") >> ran >> waited)
      found[std::stoi(tasks->path().filename())] = std::chrono::nanoseconds(waited);
  }
  return found;
}

ChargedTime::ChargedTime(std::vector<pid_t> concerned)
    : concerned_(std::move(concerned)), before_(delays()), began_(std::chrono::steady_clock::now()) {}

ChargedTime::Delays ChargedTime::delays() const {
  Delays all = run_delays(::getpid());
  for (const pid_t each : concerned_) all.merge(run_delays(each));
  return all;
}

ChargedTime::Reading ChargedTime::read() {
  using std::chrono::milliseconds;
  const auto passed = std::chrono::steady_clock::now() - began_;
  std::chrono::nanoseconds starved{0};
  for (const auto& [thread, waited] : delays()) last_[thread] = waited;
  for (const auto& [thread, waited] : last_) {
    const auto found = before_.find(thread);
    starved += waited - (found == before_.end() ? std::chrono::nanoseconds{0} : found->second);
  }
  const auto charged = std::max<std::chrono::nanoseconds>(passed - starved, std::chrono::nanoseconds{0});
  return {std::chrono::ceil<milliseconds>(charged), std::chrono::floor<milliseconds>(passed),
          std::chrono::floor<milliseconds>(starved)};
}

std::ostream& operator<<(std::ostream& stream, const ChargedTime::Reading& reading) {
  return stream << fmt::format("{} ms, of {} ms that passed and {} ms without a CPU", reading.charged.count(),
                               reading.passed.count(), reading.starved.count());
}

}  // namespace baton::test
