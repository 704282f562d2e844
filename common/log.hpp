// Any process. One log per process, on standard error, written by spdlog. A terminal shows the bare message (with its
// level, where that is not info); elsewhere every line carries time, level, role and pid, as text or as JSON.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace baton::log {

enum class Level : std::uint8_t { debug, info, warning, error };
enum class Format : std::uint8_t { text, json };

struct Options {
  Level level = Level::info;
  Format format = Format::text;
};

/// Who writes: "master", or "worker" with its number (0 where a foreign master gave none).
struct Role {
  std::string name = "baton";
  int worker = 0;
};

/// Sets this process's log up. Before that, messages go out as the default options say.
void start(const Options& options, const Role& role);

/// Who writes the lines, each with its newline, in the place of standard error. Nothing: standard error again.
using Writer = std::function<void(std::string_view line)>;
void write_by(Writer writer);

void write(Level level, std::string_view message);
/// The line that this would write, with its newline.
[[nodiscard]] std::string compose(Level level, std::string_view message);
[[nodiscard]] bool is_on(Level level);

template <class... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
  if (is_on(Level::debug)) write(Level::debug, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
  if (is_on(Level::info)) write(Level::info, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> text, Args&&... args) {
  if (is_on(Level::warning)) write(Level::warning, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> text, Args&&... args) {
  if (is_on(Level::error)) write(Level::error, fmt::format(text, std::forward<Args>(args)...));
}

/// Throw UsageError naming the values that exist.
Level parse_level(const std::string& text);
Format parse_format(const std::string& text);
std::string_view name(Level level);
std::string_view name(Format format);

/// UTC with milliseconds, as in a log line: "2026-01-02T03:04:05.678Z".
std::string timestamp_now();

/// One line as it will be written, without the newline: for tests and for start().
std::string render(Format format, bool terminal, std::int64_t unix_ms, Level level, const Role& role, int pid,
                   std::string_view message);

}  // namespace baton::log
