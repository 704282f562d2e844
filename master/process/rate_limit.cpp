// Master. The token bucket.
#include "master/process/rate_limit.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace baton {

RateLimit::Answer RateLimit::ask(TimePoint now) {
  const double passed = std::chrono::duration<double>(now - at_).count();
  left_ = std::min(most_at_once, left_ + passed * per_second);
  at_ = now;
  if (left_ >= 1) {
    left_ -= 1;
    return Answer::granted;
  }
  return ++refused_ == 1 ? Answer::refused_first : Answer::refused;
}

std::uint64_t RateLimit::take_refused() {
  return std::exchange(refused_, 0);
}

}  // namespace baton
