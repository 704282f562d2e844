// Init. Writing TOML, and systemd's quoting (systemd.service(5), systemd.syntax(7)).
#include "master/init/init_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "common/error.hpp"
#include "master/init/service_template.hpp"  // generated: service_template

namespace baton {
namespace {

namespace files = std::filesystem;

std::string toml_string(const std::string& name, const std::string& value) {
  const bool is_plain = std::none_of(value.begin(), value.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; });
  if (is_plain && value.find_first_of("\"\\") == std::string::npos) return fmt::format("\"{}\"", value);
  if (is_plain && value.find('\'') == std::string::npos) return fmt::format("'{}'", value);
  throw UsageError(fmt::format("--{}: the value {} can't be written into a file; give it as a flag", name, value));
}

/// The default that the help names, where it is one value: "[30s]", and not "[the master's]".
std::string default_in(const std::string& help) {
  const std::size_t open = help.rfind('[');
  if (open == std::string::npos || !help.ends_with(']')) return {};
  const std::string text = help.substr(open + 1, help.size() - open - 2);
  return text.find(' ') == std::string::npos ? text : std::string();
}

std::string line_of(const SettingDescription& setting) {
  const bool is_given = !setting.given.empty();
  const std::string name = (is_given ? "" : "#") + setting.name;
  if (setting.value_name.empty()) return fmt::format("{} = {}\n", name, is_given ? "true" : "false");
  std::vector<std::string> values = setting.given;
  if (!is_given) values = {default_in(setting.help).empty() ? setting.value_name : default_in(setting.help)};
  if (!setting.is_list) return fmt::format("{} = {}\n", name, toml_string(setting.name, values.back()));
  std::string all;
  for (const std::string& each : values) all += (all.empty() ? "" : ", ") + toml_string(setting.name, each);
  return fmt::format("{} = [{}]\n", name, all);
}

/// As comments, by words.
std::string wrapped(std::string_view text) {
  constexpr std::size_t width = 100;
  std::string lines;
  std::string line = "#";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (line.size() + 1 + end > width) {
      lines += line + '\n';
      line = "#";
    }
    line += ' ';
    line += text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines + line + '\n';
}

/// "%" begins what systemd puts in; doubled it is itself.
std::string unit_value(const std::string& text) {
  std::string value;
  for (const char c : text) {
    if (c >= 0 && c < ' ')
      throw UsageError("a path or argument with a line break, or the like, can't be written into a unit");
    value += c == '%' ? "%%" : std::string(1, c);
  }
  return value;
}

/// One of several words of a value.
std::string unit_word(const std::string& word) {
  std::string quoted;
  for (const char c : unit_value(word)) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  const bool is_plain = !word.empty() && word.find_first_of(" \t\"'\\;") == std::string::npos;
  return is_plain ? quoted : '"' + quoted + '"';
}

/// One word of a command line, where "$" is likewise.
std::string command_word(const std::string& word) {
  std::string text;
  for (const char c : word) text += c == '$' ? "$$" : std::string(1, c);
  return unit_word(text);
}

std::string start_of(const Service& service) {
  std::string start = fmt::format("{} -c {}", command_word(service.baton), command_word(service.config));
  if (service.control.empty()) start += " --control /run/baton/control.sock";
  if (!service.command.empty()) start += " --";
  for (const std::string& each : service.command) start += " " + command_word(each);
  return start;
}

bool is_below(const files::path& path, const files::path& directory) {
  return std::mismatch(directory.begin(), directory.end(), path.begin(), path.end()).first == directory.end();
}

/// The directories that it has to write to, besides those that the unit has: the names of files may be put together
/// later ("{worker}").
std::vector<std::string> directories_written(const Service& service) {
  std::set<std::string> found;
  for (const std::string& each : service.written) {
    const std::string fixed = each.substr(0, each.find('{'));
    const files::path directory = (files::path(service.directory) / fixed).lexically_normal().parent_path();
    if (!is_below(directory, "/run/baton") && !is_below(directory, "/var/lib/baton")) found.insert(directory);
  }
  return {found.begin(), found.end()};
}

bool needs_real_tmp(const Service& service) {
  std::vector<std::string> paths = directories_written(service);
  paths.insert(paths.end(), {service.baton, service.config, service.directory});
  if (!service.command.empty()) paths.push_back(service.command.front());
  return std::any_of(paths.begin(), paths.end(),
                     [](const std::string& each) { return is_below(each, "/tmp") || is_below(each, "/var/tmp"); });
}

/// Puts another value behind "KEY=" of a line.
void set_line(std::string& unit, std::string_view key, std::string_view value) {
  const std::size_t begin = unit.find(fmt::format("\n{}=", key)) + 1;
  unit.replace(begin, unit.find('\n', begin) - begin, fmt::format("{}={}", key, value));
}

void put_in_front(std::string& unit, std::string_view line, std::string_view text) {
  unit.insert(unit.find(fmt::format("\n{}", line)) + 1, text);
}

}  // namespace

std::string config_text(const std::vector<SettingDescription>& settings, std::string_view command_line) {
  std::string text = fmt::format("# Settings for: {}\n", command_line);
  text += wrapped(
      "A flag wins over the environment, the environment over this file; baton reload reads it again. What is "
      "commented "
      "out is at its default.");
  for (const SettingDescription& each : settings) text += "\n" + wrapped(each.help) + line_of(each);
  return text;
}

std::string unit_text(const Service& service) {
  std::string unit(service_template);
  unit.erase(0, unit.find("[Unit]"));
  set_line(unit, "ExecStart", start_of(service));
  if (!service.command.empty()) set_line(unit, "Description", unit_value("baton, with " + service.command.front()));
  put_in_front(unit, "ExecStart=", fmt::format("WorkingDirectory={}\n", unit_value(service.directory)));
  if (!service.user.empty()) set_line(unit, "DynamicUser", "no\nUser=" + service.user);
  if (!service.group.empty()) put_in_front(unit, "RuntimeDirectory=", "Group=" + service.group + '\n');
  // It may be where the program is.
  set_line(unit, "ProtectHome", "read-only");
  // One that is made up always has a /tmp of its own.
  if (needs_real_tmp(service) && !service.user.empty()) set_line(unit, "PrivateTmp", "no");
  constexpr std::uint64_t open_files = 65'536;  // of the template
  if (service.open_files > open_files) set_line(unit, "LimitNOFILE", std::to_string(service.open_files));
  if (service.nice < 0) put_in_front(unit, "LimitNOFILE=", fmt::format("LimitNICE={}\n", service.nice));
  // With "-": what is missing is baton's to tell, by its name.
  std::string writable;
  for (const std::string& each : directories_written(service)) writable += " " + unit_word("-" + each);
  if (!writable.empty()) put_in_front(unit, "RestrictAddressFamilies=", "ReadWritePaths=" + writable.substr(1) + '\n');
  return unit;
}

std::string hindrance(const Service& service) {
  if (!service.user.empty()) return {};
  std::string text;
  for (const std::string& each : directories_written(service)) text += (text.empty() ? "can't write to " : ", ") + each;
  if (needs_real_tmp(service)) text += fmt::format("{}sees another /tmp", text.empty() ? "" : ", and ");
  return text;
}

}  // namespace baton
