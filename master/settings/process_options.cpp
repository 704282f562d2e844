// Master. The checks of what a worker's process is given: whatever can't be had is to be known at the start.
#include "master/settings/process_options.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string_view>

#include "common/error.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

bool is_root() {
  return ::geteuid() == 0;
}

std::string upper(std::string text) {
  for (char& each : text)
    if (each >= 'a' && each <= 'z') each = static_cast<char>(each - 'a' + 'A');
  return text;
}

std::string signal_name(int number) {
  const char* const abbreviation = ::sigabbrev_np(number);
  return abbreviation != nullptr ? abbreviation : fmt::to_string(number);
}

std::optional<int> find_signal(const std::string& text) {
  int number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error == std::errc{} && end == last && number > 0 && number < NSIG) return number;
  const std::string name = upper(text.substr(upper(text).starts_with("SIG") ? 3 : 0));
  for (int each = 1; each < NSIG; ++each)
    if (const char* known = ::sigabbrev_np(each); known != nullptr && name == known) return each;
  return std::nullopt;
}

int parse_signal(const std::string& text) {
  const auto number = find_signal(text);
  if (!number) throw UsageError(fmt::format("\"{}\" is no signal (like TERM, SIGUSR2 or 15)", text));
  if (*number == SIGKILL || *number == SIGSTOP)
    throw UsageError(
        fmt::format("{} can't ask for anything: no program can handle it (TERM, INT, QUIT, USR2, …)", text));
  return *number;
}

std::string parse_directory(const std::string& text) {
  std::error_code error;
  const auto status = std::filesystem::status(text, error);
  if (!std::filesystem::exists(status))
    throw UsageError(fmt::format("{}: {}", text, describe_errno(error ? error.value() : ENOENT)));
  if (!std::filesystem::is_directory(status)) throw UsageError(fmt::format("{} is no directory", text));
  return text;
}

/// What a worker finds there is baton's word to it, or that of a dialect.
bool is_ours(std::string_view name) {
  constexpr std::array<std::string_view, 12> names{"NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE",
                                                   "NODE_UNIQUE_ID",  "BATON_CHANNEL_FD",
                                                   "BATON_WORKER",    "BATON_START",
                                                   "LISTEN_FDS",      "LISTEN_PID",
                                                   "LISTEN_FDNAMES",  "NOTIFY_SOCKET",
                                                   "WATCHDOG_USEC",   "WATCHDOG_PID"};
  return std::find(names.begin(), names.end(), name) != names.end() || name.starts_with("EINHORN_") ||
         name.starts_with("SERVER_STARTER_");
}

std::string_view name_in(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

/// Of a name that is there several times the last counts, as of a flag.
std::vector<std::string> parse_variables(const std::vector<std::string>& all) {
  std::vector<std::string> variables;
  for (const std::string& each : all) {
    const std::string_view name = name_in(each);
    if (each.find('=') == std::string::npos)
      throw UsageError(fmt::format("\"{0}\" has no value (like {0}=1, or {0}= for an empty one)", each));
    if (name.empty()) throw UsageError(fmt::format("\"{}\" has no name (like NAME=value)", each));
    if (is_ours(name)) throw UsageError(fmt::format("{} can't be set: baton itself tells its workers by it", name));
    const auto before = std::find_if(variables.begin(), variables.end(),
                                     [&](const std::string& other) { return name_in(other) == name; });
    if (before != variables.end()) variables.erase(before);
    variables.push_back(each);
  }
  return variables;
}

mode_t parse_umask(const std::string& text) {
  constexpr unsigned most = 0777;
  unsigned value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value, 8);
  if (error != std::errc{} || end != last || value > most)
    throw UsageError(fmt::format("\"{}\" is no umask (octal, 0 to 777, like 027)", text));
  return value;
}

/// As nice(1) counts: the higher, the less of the CPU.
int parse_nice(const std::string& text) {
  constexpr int least = -20;
  constexpr int most = 19;
  int value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc{} || end != last || value < least || value > most)
    throw UsageError(fmt::format("\"{}\" is no niceness ({} to {})", text, least, most));
  rlimit limit{};
  check(::getrlimit(RLIMIT_NICE, &limit), "getrlimit");
  const bool is_allowed =
      is_root() || value >= ::getpriority(PRIO_PROCESS, 0) || static_cast<rlim_t>(most + 1 - value) <= limit.rlim_cur;
  if (!is_allowed)
    throw UsageError(fmt::format("{} is lower than baton's own, which only root may (or by RLIMIT_NICE)", value));
  return value;
}

rlim_t parse_open_files(const std::string& text) {
  constexpr rlim_t least = 16;  // the standard streams, the channel, a listener, and a few for itself
  const rlim_t wanted = parse_count(text, least, std::numeric_limits<int>::max(), "a limit of open files");
  rlimit limit{};
  check(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  if (wanted > limit.rlim_max && !is_root())
    throw UsageError(
        fmt::format("{} is above the hard limit, {}, and only root may raise that", wanted, limit.rlim_max));
  return wanted;
}

std::string parse_file(const std::string& text) {
  if (text.empty() || text.ends_with('/')) throw UsageError(fmt::format("\"{}\" is no file's name", text));
  return text;
}

std::string parse_word(const std::string& text) {
  if (text.empty()) throw UsageError("a name or a number is wanted");
  return text;
}

void check_embedded(const char* flag, const std::optional<int>& signal) {
  if (!signal || *signal == SIGTERM || *signal == SIGINT || *signal == SIGQUIT) return;
  throw UsageError(
      fmt::format("--{}: the embedded worker finishes by TERM, INT or QUIT, not by {}", flag, signal_name(*signal)));
}

/// Both flags can name the group.
void look_up_account(ProcessSettings& values) {
  if (values.user.empty() && values.group.empty()) return;
  std::string user = values.user;
  std::string group = values.group;
  const char* const flag = user.empty() ? "group" : "user";
  if (const std::size_t colon = user.find(':'); colon != std::string::npos) {
    if (!group.empty())
      throw UsageError(fmt::format("--group: --user {} names a group already (leave one of them out)", user));
    group = user.substr(colon + 1);
    user.resize(colon);
    if (user.empty() || group.empty())
      throw UsageError(fmt::format("--user: \"{}\" is not of the form USER:GROUP", values.user));
  }
  try {
    Account account = find_account(user, group);
    if (is_root()) {
      values.account = std::move(account);
      return;
    }
    if (is_own(account)) return;
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("--{}: {}", flag, error.what()));
  }
  throw UsageError(
      fmt::format("--{}: only root can change to another {} (start baton as root, or leave it out)", flag, flag));
}

}  // namespace

void add_process_settings(Settings& settings, ProcessSettings& values) {
  settings.add("--stop-signal", "SIGNAL", "Signal that asks a worker to finish [TERM]",
               [&](const std::string& text) { values.stop_signal = parse_signal(text); });
  settings.add("--reload-signal", "SIGNAL",
               "Signal that asks a worker to finish which is being replaced, rather than one too many "
               "[as --stop-signal]",
               [&](const std::string& text) { values.reload_signal = parse_signal(text); });
  settings.add("--cwd", "DIR", "Directory that workers start in [the master's]",
               [&](const std::string& text) { values.directory = parse_directory(text); });
  settings.add_list(
      "--env", "NAME=VALUE", "Variable for the workers, repeatable; in BATON_ENV line by line",
      [&](const std::vector<std::string>& all) { values.variables = parse_variables(all); }, '\n');
  settings.add("--user", "USER[:GROUP]", "User that workers run as, by name or number; root alone can [the master's]",
               [&](const std::string& text) { values.user = parse_word(text); });
  settings.add("--group", "GROUP", "Group that workers run as, by name or number; root alone can [the user's]",
               [&](const std::string& text) { values.group = parse_word(text); });
  settings.add("--umask", "OCTAL", "Permissions that workers' new files don't have [the master's]",
               [&](const std::string& text) { values.umask = parse_umask(text); });
  settings.add("--nice", "N", "Niceness of workers, -20 to 19 [the master's]",
               [&](const std::string& text) { values.nice = parse_nice(text); });
  settings.add("--limit-nofile", "N", "Limit of open files of workers, soft and hard [the master's]",
               [&](const std::string& text) { values.open_files = parse_open_files(text); });
  settings.add_switch("--nonblocking", "Let workers inherit listeners that don't block: for nginx, which relies on it",
                      values.nonblocking);
  settings.add_switch("--raw-output",
                      "Let a command's workers write to baton's own standard output and error, without a prefix",
                      values.raw_output);
  settings.add("--output", "FILE",
               "File for what a command's workers write, opened again on USR1 [baton's standard output and error]",
               [&](const std::string& text) { values.output = parse_file(text); });
}

void complete(ProcessSettings& values, bool is_embedded) {
  if (is_embedded) {
    check_embedded("stop-signal", values.stop_signal);
    check_embedded("reload-signal", values.reload_signal);
    if (!values.output.empty())
      throw UsageError(
          "--output: it is for a command's workers; the embedded worker writes nothing but its log, to standard error");
  }
  if (values.raw_output && !values.output.empty())
    throw UsageError("--output: with --raw-output the workers write to baton's own streams (leave one of them out)");
  look_up_account(values);
}

}  // namespace baton
