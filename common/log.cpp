// Any process. The only file that knows spdlog.
#include "common/log.hpp"

#include <fmt/chrono.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>

#include "common/error.hpp"

namespace baton::log {
namespace {

struct Named {
  std::string_view name;
  Level level;
  spdlog::level::level_enum theirs;
};
constexpr std::array levels{
    Named{"debug", Level::debug, spdlog::level::debug},
    Named{"info", Level::info, spdlog::level::info},
    Named{"warning", Level::warning, spdlog::level::warn},
    Named{"error", Level::error, spdlog::level::err},
};
constexpr std::array<std::string_view, 2> formats{"text", "json"};

const Named& named(Level level) {
  return levels.at(static_cast<std::size_t>(level));
}

Level from_theirs(spdlog::level::level_enum theirs) {
  for (const Named& each : levels)
    if (each.theirs == theirs) return each.level;
  return Level::error;
}

class Formatter final : public spdlog::formatter {
 public:
  Formatter(Format format, Role role) : format_(format), role_(std::move(role)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const std::string text = line(from_theirs(message.level), {message.payload.data(), message.payload.size()},
                                  message.time.time_since_epoch());
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::string line(Level level, std::string_view message,
                                 std::chrono::system_clock::duration since_1970) const {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
    return render(format_, terminal_, ms, level, role_, pid_, message) + '\n';
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<Formatter>(*this); }

 private:
  Format format_;
  Role role_;
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  int pid_ = ::getpid();
};

Formatter& formatter() {
  static Formatter instance(Format::text, Role{});
  return instance;
}

Writer& writer() {
  static Writer instance;
  return instance;
}

class Sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter().format(message, line);
    if (writer()) return writer()({line.data(), line.size()});
    static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
  }
  void flush_() override {}
};

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("baton", std::make_shared<Sink>());
    // A full disk or a closed pipe behind standard error is no reason to stop serving.
    made.set_error_handler([](const std::string&) {});
    return made;
  }();
  return instance;
}

std::string timestamp(std::int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), unix_ms % 1000);
}

std::string render_json(std::int64_t unix_ms, Level level, const Role& role, int pid, std::string_view message) {
  boost::json::object line{{"time", timestamp(unix_ms)}, {"level", name(level)}, {"role", role.name}};
  if (role.worker > 0) line["worker"] = role.worker;
  line["pid"] = pid;
  line["message"] = message;
  return boost::json::serialize(line);
}

}  // namespace

std::string render(Format format, bool terminal, std::int64_t unix_ms, Level level, const Role& role, int pid,
                   std::string_view message) {
  if (format == Format::json) return render_json(unix_ms, level, role, pid, message);
  const std::string who = role.worker > 0 ? fmt::format("{} {}", role.name, role.worker) : role.name;
  if (!terminal) return fmt::format("{} {} {}[{}] {}", timestamp(unix_ms), name(level), who, pid, message);
  const std::string speaker = role.name == "worker" ? fmt::format("{} pid {}: ", who, pid) : std::string{};
  return level == Level::info ? speaker + std::string(message) : fmt::format("{}: {}{}", name(level), speaker, message);
}

void start(const Options& options, const Role& role) {
  formatter() = Formatter(options.format, role);
  logger().set_level(named(options.level).theirs);
}

void write_by(Writer writer_now) {
  writer() = std::move(writer_now);
}

std::string compose(Level level, std::string_view message) {
  return formatter().line(level, message, std::chrono::system_clock::now().time_since_epoch());
}

void write(Level level, std::string_view message) {
  logger().log(named(level).theirs, spdlog::string_view_t(message.data(), message.size()));
}

bool is_on(Level level) {
  return logger().should_log(named(level).theirs);
}

Level parse_level(const std::string& text) {
  for (const Named& each : levels)
    if (each.name == text) return each.level;
  throw UsageError(fmt::format("\"{}\" is no level: debug, info, warning or error", text));
}

Format parse_format(const std::string& text) {
  for (std::size_t i = 0; i < formats.size(); ++i)
    if (formats.at(i) == text) return static_cast<Format>(i);
  throw UsageError(fmt::format("\"{}\" is no format: text or json", text));
}

std::string_view name(Level level) {
  return named(level).name;
}
std::string_view name(Format format) {
  return formats.at(static_cast<std::size_t>(format));
}

std::string timestamp_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return timestamp(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace baton::log
