// Master. How many lines of the log a worker may cause by what it sends: as many as it likes at first, then so many a
// second. A flood is not to fill the disk, nor to bury what is said of the others. Pure.
#pragma once

#include <cstdint>

#include "common/clock.hpp"

namespace baton {

class RateLimit {
 public:
  enum class Answer : std::uint8_t {
    granted,
    refused,
    refused_first,  ///< the first since one was granted: the time to say so
  };

  static constexpr double most_at_once = 1000;
  static constexpr double per_second = 100;

  /// For one line at that moment, which is none before the last.
  Answer ask(TimePoint now);
  /// How many were refused since the last call.
  std::uint64_t take_refused();

 private:
  double left_ = most_at_once;
  TimePoint at_{};
  std::uint64_t refused_ = 0;
};

}  // namespace baton
