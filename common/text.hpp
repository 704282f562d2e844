// Common. Text put together from pieces, where it is done for every request.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

namespace baton {

/// Grows at most once: a format into a string grows with its pieces.
inline void append(std::string& text, std::initializer_list<std::string_view> pieces) {
  std::size_t size = text.size();
  for (const std::string_view each : pieces) size += each.size();
  if (size > text.capacity()) text.reserve(std::max(size, 2 * text.capacity()));
  for (const std::string_view each : pieces) text.append(each);
}

}  // namespace baton
