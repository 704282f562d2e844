// Any process. The values that people write in flags and files: counts, durations, sizes.
// All of these throw UsageError, with the value and what would be right.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace baton {

/// A whole number from `least` to `most`; `what` names the thing for the error: "a port".
std::uint64_t parse_count(std::string_view text, std::uint64_t least, std::uint64_t most, std::string_view what);

/// "30s", "500ms", "5m", "1h"; a bare number is seconds. At most 24 days, so that it fits poll(2) in milliseconds.
std::chrono::milliseconds parse_duration(std::string_view text);

/// "16k", "1m", "1g" (powers of 1024, with or without "b" or "ib"); a bare number is bytes.
std::uint64_t parse_size(std::string_view text);

/// "yes", "true", "on", "1", or the contrary.
bool parse_yes_no(std::string_view text);

/// The word in `known` nearest to `word`, or empty where none is near: for "did you mean".
template <class Words>
std::string_view nearest_word(std::string_view word, const Words& known);

/// The number of single-character edits between two words (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Words>
std::string_view nearest_word(std::string_view word, const Words& known) {
  std::string_view best;
  std::size_t least = word.size() / 3 + 1;
  for (const auto& each : known) {
    if (const std::size_t distance = edit_distance(word, each); distance <= least) {
      least = distance;
      best = each;
    }
  }
  return best;
}

}  // namespace baton
