// Client. Tables, lines and bars.
#include "master/client/client_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <string_view>
#include <vector>

namespace baton {
namespace {

namespace json = boost::json;

enum class Align : std::uint8_t { left, right };

struct Column {
  std::string_view title;
  Align align;
};

constexpr std::array<Column, 10> columns{{{"WORKER", Align::right},
                                          {"PID", Align::right},
                                          {"STATE", Align::left},
                                          {"GENERATION", Align::right},
                                          {"AGE", Align::right},
                                          {"MEMORY", Align::right},
                                          {"CONNS", Align::right},
                                          {"REQUESTS", Align::right},
                                          {"ADDRESS", Align::left},
                                          {"NOTE", Align::left}}};
constexpr std::size_t state_column = 2;
constexpr std::size_t address_column = 8;  ///< shown where workers have their own
using Row = std::array<std::string, columns.size()>;

/// A control character in a message could move the cursor, or worse.
std::string printable(std::string_view text) {
  std::string safe(text);
  std::replace_if(
      safe.begin(), safe.end(), [](char c) { return (c >= '\0' && c < ' ') || c == '\x7f'; }, '?');
  return safe;
}

std::string_view colour_of(std::string_view state) {
  if (state == "ready" || state == "serving") return "\033[32m";
  if (state == "backing_off" || state == "failing" || state == "aborting" || state == "killed") return "\033[31m";
  return "\033[33m";
}

std::string coloured(const std::string& text, std::string_view state, bool colours) {
  return colours ? fmt::format("{}{}\033[0m", colour_of(state), text) : text;
}

std::string note_of(const json::object& worker) {
  std::string note = member_text(worker, "note");
  if (note == "-") note.clear();
  const std::int64_t retry = member_number(worker, "retry_in_ms", -1);
  if (retry < 0) return note;
  const std::int64_t failures = member_number(worker, "failures", 0);
  return fmt::format("{}{}starts again in {:.1f} s, after {} failure{}", note, note.empty() ? "" : "; ",
                     static_cast<double>(retry) / 1000, failures, failures == 1 ? "" : "s");
}

std::string addresses_of(const json::object& worker) {
  const auto* const all = worker.if_contains("listeners");
  std::string text;
  if (all == nullptr || !all->is_array()) return text;
  for (const json::value& each : all->get_array())
    if (each.is_string()) text += (text.empty() ? "" : ", ") + printable(each.get_string());
  return text;
}

Row row_of(const json::object& worker) {
  const std::int64_t age = member_number(worker, "age_ms", -1);
  const std::int64_t memory = member_number(worker, "rss", -1);
  return {member_text(worker, "worker"), member_text(worker, "pid"),
          member_text(worker, "state"),  member_text(worker, "generation"),
          age < 0 ? "-" : age_text(age), memory < 0 ? "-" : size_text(memory),
          member_text(worker, "open"),   member_text(worker, "requests"),
          addresses_of(worker),          note_of(worker)};
}

std::string line_of(const Row& row, const std::array<std::size_t, columns.size()>& widths, bool colours) {
  std::string line;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (widths[i] == 0) continue;
    const std::string cell = columns[i].align == Align::right ? fmt::format("{:>{}}", row[i], widths[i])
                                                              : fmt::format("{:<{}}", row[i], widths[i]);
    line += (i == 0 ? "" : "  ") + coloured(cell, row[i], colours && i == state_column);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string table_of(const json::array& workers, bool colours) {
  Row titles;
  for (std::size_t i = 0; i < columns.size(); ++i) titles[i] = columns[i].title;
  std::vector<Row> rows;
  for (const json::value& each : workers)
    if (each.is_object()) rows.push_back(row_of(each.get_object()));
  std::array<std::size_t, columns.size()> widths{};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    widths[i] = titles[i].size();
    for (const Row& row : rows) widths[i] = std::max(widths[i], row[i].size());
  }
  const bool is_common = std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
    return row[address_column].empty() || row[address_column] == rows.front()[address_column];
  });
  if (is_common) widths[address_column] = 0;
  std::string text = line_of(titles, widths, false);
  for (const Row& row : rows) text += line_of(row, widths, colours);
  return text;
}

std::string listeners_of(const json::object& status) {
  const auto* const all = status.if_contains("listeners");
  if (all == nullptr || !all->is_array()) return "";
  std::string text;
  for (const json::value& each : all->get_array()) {
    if (!each.is_object()) continue;
    const std::string name = member_text(each.get_object(), "name");
    const std::string address = member_text(each.get_object(), "address");
    const bool is_plain = name == "server" || name == "-";
    text += fmt::format("{}{}{}{}", text.empty() ? "" : ", ", is_plain ? "" : name, is_plain ? "" : "=", address);
  }
  return text.empty() ? "" : "listening on " + text + "\n";
}

}  // namespace

std::string member_text(const json::object& object, const char* name) {
  const auto* const value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return "-";
  return printable(value->is_string() ? std::string(value->get_string()) : json::serialize(*value));
}

std::int64_t member_number(const json::object& object, const char* name, std::int64_t otherwise) {
  const auto* const value = object.if_contains(name);
  if (value == nullptr || !value->is_number()) return otherwise;
  boost::system::error_code error;
  const auto number = value->to_number<std::int64_t>(error);
  return error ? otherwise : number;
}

std::string age_text(std::int64_t milliseconds) {
  const std::int64_t seconds = milliseconds / 1000;
  const std::int64_t minutes = seconds / 60;
  const std::int64_t hours = minutes / 60;
  if (minutes == 0) return fmt::format("{} s", seconds);
  if (hours == 0) return fmt::format("{} min {} s", minutes, seconds % 60);
  if (hours < 24) return fmt::format("{} h {} min", hours, minutes % 60);
  return fmt::format("{} d {} h", hours / 24, hours % 24);
}

std::string size_text(std::int64_t bytes) {
  constexpr std::array<const char*, 4> units{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string bar_text(std::int64_t done, std::int64_t of) {
  constexpr std::int64_t width = 30;
  const std::int64_t filled = of > 0 ? std::clamp<std::int64_t>(done * width / of, 0, width) : width;
  return fmt::format("[{}{}] {} of {}", std::string(static_cast<std::size_t>(filled), '#'),
                     std::string(static_cast<std::size_t>(width - filled), '-'), done, of);
}

std::string event_text(const json::object& event) {
  std::string text = fmt::format("{} {}", member_text(event, "time"), member_text(event, "event"));
  if (event.contains("message"))
    text += " " + member_text(event, "message");
  else if (event.contains("done"))
    text += fmt::format(" {} of {}", member_text(event, "done"), member_text(event, "of"));
  return text + "\n";
}

std::string status_text(const json::object& status, bool colours) {
  const std::string state = member_text(status, "state");
  std::string text =
      fmt::format("{} · baton {} · pid {} · {} · {} of {} ready · generation {}\n", member_text(status, "name"),
                  member_text(status, "version"), member_text(status, "pid"), coloured(state, state, colours),
                  member_text(status, "ready"), member_text(status, "target"), member_text(status, "generation"));
  text += listeners_of(status);
  const auto* const workers = status.if_contains("workers");
  if (workers != nullptr && workers->is_array() && !workers->get_array().empty())
    text += "\n" + table_of(workers->get_array(), colours);
  return text;
}

}  // namespace baton
