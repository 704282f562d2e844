// Doctor. Points in time and spans, as the checks speak of them.
#pragma once

#include <chrono>

#include "common/clock.hpp"

namespace baton::doctor {

inline TimePoint from_now(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

inline std::chrono::milliseconds since(TimePoint began) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
}

}  // namespace baton::doctor
