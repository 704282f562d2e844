// Doctor. The two forms of a report.
#include "master/doctor/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <string_view>

namespace baton::doctor {
namespace {

struct Name {
  std::string_view id;     ///< in JSON
  std::string_view title;  ///< goes on from "the worker"
};

constexpr std::array<Name, check_count> check_names{{
    {"listener", "takes the listener"},
    {"ready", "gets ready"},
    {"answers", "answers"},
    {"shares", "shares with a sibling"},
    {"descriptors", "leaks no descriptor"},
    {"drains", "drains under load"},
    {"stops", "stops in time"},
    {"descendants", "leaves nobody behind"},
    {"channel", "ends with its channel"},
}};

constexpr std::array<std::string_view, 3> verdict_names{"ok", "failed", "skipped"};
constexpr std::array<std::string_view, 3> verdict_colours{"\033[32m", "\033[31m", "\033[33m"};

const Name& name_of(Check check) {
  return check_names.at(static_cast<std::size_t>(check));
}

std::string_view name_of(Verdict verdict) {
  return verdict_names.at(static_cast<std::size_t>(verdict));
}

std::ptrdiff_t count_of(const Report& report, Verdict verdict) {
  return std::count_if(report.findings.begin(), report.findings.end(),
                       [verdict](const Finding& each) { return each.verdict == verdict; });
}

std::string finding_text(const Finding& finding, bool colours) {
  const std::string_view colour = colours ? verdict_colours.at(static_cast<std::size_t>(finding.verdict)) : "";
  std::string text = fmt::format("  {}{:<8}{} {:<22} {}\n", colour, name_of(finding.verdict), colours ? "\033[0m" : "",
                                 name_of(finding.check).title, finding.seen);
  if (!finding.way_out.empty()) text += fmt::format("  {:<8} {:<22} way out: {}\n", "", "", finding.way_out);
  return text;
}

/// What a worker printed, or its arguments, may hold what a terminal obeys.
std::string tamed(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
  return text;
}

}  // namespace

bool Report::is_healthy() const {
  return count_of(*this, Verdict::failed) == 0;
}

std::string report_text(const Report& report, bool colours) {
  std::string text;
  for (const std::string& each : report.command) text += (text.empty() ? "" : " ") + each;
  text = tamed(text) + fmt::format("\n  dialect {}", report.dialect);
  if (!report.dialect_reason.empty()) text += ", because " + tamed(report.dialect_reason);
  text += "\n\n";
  for (Finding each : report.findings) {
    each.seen = tamed(std::move(each.seen));
    text += finding_text(each, colours);
  }
  return text + fmt::format("\n{} ok, {} failed, {} skipped\n", count_of(report, Verdict::ok),
                            count_of(report, Verdict::failed), count_of(report, Verdict::skipped));
}

std::string report_json(const Report& report) {
  boost::json::array checks;
  for (const Finding& each : report.findings) {
    boost::json::object check{
        {"check", name_of(each.check).id}, {"verdict", name_of(each.verdict)}, {"seen", each.seen}};
    if (!each.way_out.empty()) check["way_out"] = each.way_out;
    checks.push_back(std::move(check));
  }
  boost::json::object whole{{"command", boost::json::array(report.command.begin(), report.command.end())},
                            {"dialect", report.dialect}};
  if (!report.dialect_reason.empty()) whole["dialect_reason"] = report.dialect_reason;
  whole["healthy"] = report.is_healthy();
  whole["checks"] = std::move(checks);
  return boost::json::serialize(whole) + "\n";
}

}  // namespace baton::doctor
