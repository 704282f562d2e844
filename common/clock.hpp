// Any process. The words for time: moments of the monotonic clock, and spans.
#pragma once

#include <chrono>

namespace baton {

using TimePoint = std::chrono::steady_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

}  // namespace baton
