// Process and interop tests. How long a test waits for what must happen: long enough for a loaded machine under a
// sanitizer, for nothing is gained by giving up early. Every wait is a poll(2) that ends with its event.
#pragma once

#include <algorithm>
#include <chrono>

namespace baton::test {

using namespace std::chrono_literals;

constexpr auto patience = 20s;

class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds from_now = patience) : at_(Clock::now() + from_now) {}

  /// For poll(2): never negative, which would mean for ever.
  [[nodiscard]] int left_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now());
    return static_cast<int>(std::max<std::chrono::milliseconds>(left, 0ms).count());
  }
  [[nodiscard]] bool has_passed() const { return Clock::now() >= at_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point at_;
};

}  // namespace baton::test
