// Doctor. What was found, in words and in JSON. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace baton::doctor {

/// What is looked at, in this order.
enum class Check : std::uint8_t {
  listener,
  ready,
  answers,
  shares,
  descriptors,
  drains,
  stops,
  descendants,
  channel,
};
constexpr std::size_t check_count = 9;

enum class Verdict : std::uint8_t { ok, failed, skipped };

struct Finding {
  Check check = Check::listener;
  Verdict verdict = Verdict::skipped;
  std::string seen;     ///< in numbers; of what was skipped the reason
  std::string way_out;  ///< of what failed: what to change
};

struct Report {
  std::vector<std::string> command;
  std::string dialect;
  std::string dialect_reason;  ///< empty: it was asked for
  std::vector<Finding> findings;

  [[nodiscard]] bool is_healthy() const;
};

/// A line for each finding, and a last one that counts them.
std::string report_text(const Report& report, bool colours);
/// {"command":[…],"dialect":…,"healthy":…,"checks":[{"check":"ready","verdict":"ok","seen":…}]} and a newline.
std::string report_json(const Report& report);

}  // namespace baton::doctor
