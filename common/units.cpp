// Any process. Parsing of counts, durations and sizes.
#include "common/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "common/error.hpp"

namespace baton {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

/// Digits followed by one of `units`; nothing where it is not of that form or the product is above `most`.
std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units, std::uint64_t most) {
  std::uint64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  std::string suffix(end, last);
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  for (const Unit& unit : units)
    if (unit.name == suffix && number <= most / unit.factor) return number * unit.factor;
  return std::nullopt;
}

}  // namespace

std::uint64_t parse_count(std::string_view text, std::uint64_t least, std::uint64_t most, std::string_view what) {
  constexpr Unit plain[] = {{"", 1}};
  const auto number = parse_with_unit(text, plain, most);
  if (!number || *number < least) throw UsageError(fmt::format("\"{}\" is not {} ({} to {})", text, what, least, most));
  return *number;
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  constexpr Unit units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  const auto ms = parse_with_unit(text, units, std::numeric_limits<std::int32_t>::max());
  if (!ms) throw UsageError(fmt::format("\"{}\" is not a duration (like 500ms, 30s, 5m, at most 24d)", text));
  return std::chrono::milliseconds(*ms);
}

std::uint64_t parse_size(std::string_view text) {
  constexpr std::uint64_t k = 1024;
  constexpr Unit units[] = {{"", 1},          {"b", 1},          {"k", k},          {"kb", k},
                            {"kib", k},       {"m", k * k},      {"mb", k * k},     {"mib", k * k},
                            {"g", k * k * k}, {"gb", k * k * k}, {"gib", k * k * k}};
  const auto bytes = parse_with_unit(text, units, std::numeric_limits<std::int64_t>::max());
  if (!bytes) throw UsageError(fmt::format("\"{}\" is not a size (like 16k, 1m, or bytes)", text));
  return *bytes;
}

bool parse_yes_no(std::string_view text) {
  for (const std::string_view each : {"yes", "true", "on", "1"})
    if (text == each) return true;
  for (const std::string_view each : {"no", "false", "off", "0"})
    if (text == each) return false;
  throw UsageError(fmt::format("\"{}\" is neither yes nor no", text));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace baton
