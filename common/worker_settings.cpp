// Any process. The embedded worker's settings, each declared once.
#include "common/worker_settings.hpp"

#include <fmt/format.h>

#include <limits>

#include "common/error.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

// A timeout of nothing would close every connection before its first byte.
std::chrono::milliseconds parse_timeout(const std::string& text) {
  const auto duration = parse_duration(text);
  if (duration.count() == 0) throw UsageError(fmt::format("\"{}\" leaves no time at all (the least is 1ms)", text));
  return duration;
}

std::size_t parse_header_size(const std::string& text) {
  constexpr std::uint64_t least = 256;
  constexpr std::uint64_t most = std::uint64_t{1} << 20;
  const std::uint64_t size = parse_size(text);
  if (size < least || size > most) throw UsageError(fmt::format("\"{}\" is out of range (256 to 1m)", text));
  return size;
}

}  // namespace

void add_worker_settings(Settings& settings, WorkerSettings& values) {
  settings.add("--max-header", "SIZE",
               "Most bytes in a request's line and header fields; more is answered 414 or 431 [16k]",
               [&](const std::string& text) { values.max_header = parse_header_size(text); });
  settings.add("--max-body", "SIZE", "Most bytes in a request's body; more is answered 413 [1m]",
               [&](const std::string& text) { values.max_body = parse_size(text); });
  settings.add("--header-timeout", "TIME", "Time for a request's header to arrive, then 408 [10s]",
               [&](const std::string& text) { values.header_timeout = parse_timeout(text); });
  settings.add("--body-timeout", "TIME", "Time for a request's body to arrive, then 408 [60s]",
               [&](const std::string& text) { values.body_timeout = parse_timeout(text); });
  settings.add("--idle-timeout", "TIME", "Time that a connection may rest between requests [75s]",
               [&](const std::string& text) { values.idle_timeout = parse_timeout(text); });
  settings.add("--max-connections", "N", "Most connections that one worker holds at once [16384]",
               [&](const std::string& text) {
                 values.max_connections = parse_count(text, 1, 1'000'000, "a number of connections");
               });
  settings.add(
      "--max-requests", "N", "Requests after which a worker is replaced, less up to a tenth; 0 is no limit [0]",
      [&](const std::string& text) {
        values.max_requests = parse_count(text, 0, std::numeric_limits<std::int64_t>::max(), "a number of requests");
      });
  settings.add("--log-level", "LEVEL", "Least level that is logged: debug, info, warning, error [info]",
               [&](const std::string& text) { values.log.level = log::parse_level(text); });
  settings.add("--log-format", "FORMAT", "Form of a log line: text, json [text]",
               [&](const std::string& text) { values.log.format = log::parse_format(text); });
}

void add_inner_worker_settings(Settings& settings, WorkerSettings& values) {
  settings.add("--heartbeat", "TIME", "Time between two signs of life to the master; 0 is none [0]",
               [&](const std::string& text) { values.heartbeat = parse_duration(text); });
  settings.add("--take-turns", "yes|no", "Whether other workers accept from the same listeners [no]",
               [&](const std::string& text) { values.take_turns = text == "yes"; });
}

std::vector<std::string> to_arguments(const WorkerSettings& values) {
  return {
      fmt::format("--max-header={}", values.max_header),
      fmt::format("--max-body={}", values.max_body),
      fmt::format("--header-timeout={}ms", values.header_timeout.count()),
      fmt::format("--body-timeout={}ms", values.body_timeout.count()),
      fmt::format("--idle-timeout={}ms", values.idle_timeout.count()),
      fmt::format("--max-connections={}", values.max_connections),
      fmt::format("--max-requests={}", values.max_requests),
      fmt::format("--heartbeat={}ms", values.heartbeat.count()),
      fmt::format("--take-turns={}", values.take_turns ? "yes" : "no"),
      fmt::format("--log-level={}", log::name(values.log.level)),
      fmt::format("--log-format={}", log::name(values.log.format)),
  };
}

}  // namespace baton
