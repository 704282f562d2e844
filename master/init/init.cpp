// Init. From the command to the two files.
#include "master/init/init.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <variant>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "common/settings.hpp"
#include "master/init/init_files.hpp"
#include "master/settings/options.hpp"
#include "master/settings/policy_compatibility.hpp"
#include "master/system/account.hpp"
#include "master/system/child.hpp"

namespace baton {
namespace {

namespace files = std::filesystem;
using Words = std::vector<std::string>;

constexpr mode_t readable_by_all = 0644;

struct Request {
  Words arguments;  ///< of baton, without the command
  Words command;
  std::string directory = ".";
  bool may_replace = false;
};

Request parse_request(const Words& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  Request request;
  Settings settings(
      "baton init [flags] [flags of baton] [-- command args…]",
      "Writes baton.toml, with every setting explained, and baton.service, which runs the command with it.",
      "baton " BATON_VERSION);
  settings.add("-o,--directory", "DIR", "Where to write them [here]",
               [&](const std::string& text) { request.directory = text; });
  settings.add_flag("--force", "Replace files that are there", request.may_replace);
  settings.set_footer(
      "The other flags are baton's: what they say is set in the file.\n\n"
      "  baton init -w 8 -l :8080 -- gunicorn app:app");
  settings.leave_others();
  settings.parse({arguments.begin(), dashes});
  request.arguments = settings.others();
  if (dashes != arguments.end()) request.command.assign(dashes + 1, arguments.end());
  if (dashes != arguments.end() && request.command.empty())
    throw UsageError("the command after \"--\" is missing (like: baton init -- gunicorn app:app)");
  return request;
}

Words with_command(Words arguments, const Words& command) {
  if (command.empty()) return arguments;
  arguments.emplace_back("--");
  arguments.insert(arguments.end(), command.begin(), command.end());
  return arguments;
}

/// What was given, and what a reader of the file looks for first.
std::vector<SettingDescription> settings_for(const Request& request, const Options& options) {
  std::vector<SettingDescription> settings = describe_settings(request.arguments);
  const auto set = [&](const std::string& name, const std::string& value) {
    for (SettingDescription& each : settings)
      if (each.name == name && each.given.empty()) each.given = {value};
  };
  set("workers", "auto");
  const bool has_port = std::any_of(settings.begin(), settings.end(),
                                    [](const auto& each) { return each.name == "port" && !each.given.empty(); });
  if (!asks_for_listeners(options.dialect) && !has_port) set("listen", fmt::format(":{}", default_port));
  if (!request.command.empty()) set("dialect", std::string(name(options.dialect)));
  // The unit starts all of baton as that user, who can't change to another.
  for (SettingDescription& each : settings)
    if (each.name == "user" || each.name == "group") each.given.clear();
  return settings;
}

std::string shell_line(const Words& words) {
  std::string line;
  for (const std::string& each : words) {
    const bool is_plain = !each.empty() && each.find_first_not_of(
                                               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                               "-_=+:,./@%{}") == std::string::npos;
    std::string quoted = each;
    for (auto at = quoted.find('\''); at != std::string::npos; at = quoted.find('\'', at + 4))
      quoted.replace(at, 1, "'\\''");
    line += fmt::format("{}{}", line.empty() ? "" : " ", is_plain ? each : "'" + quoted + "'");
  }
  return line;
}

void check_free(const std::string& path, bool may_replace) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) == -1 && errno == ENOENT) return;
  if (!may_replace) throw StartError(fmt::format("{} is there already (--force replaces it)", path));
}

void write(const std::string& path, const std::string& text, bool may_replace) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (may_replace ? O_TRUNC : O_EXCL);
  const Fd file{::open(path.c_str(), flags, readable_by_all)};
  if (!file.is_open())
    throw StartError(fmt::format("can't write {}: {}{}", path, describe_errno(errno),
                                 errno == ENOENT ? " (make the directory, or name another by -o)" : ""));
  const ssize_t count = ::write(file.get(), text.data(), text.size());
  if (count != static_cast<ssize_t>(text.size()))
    throw StartError(fmt::format("can't write {}: {}", path, describe_errno(count == -1 ? errno : ENOSPC)));
}

/// Relative ones from where it starts.
Words files_written(const Options& options) {
  Words written{options.state_file, options.pid_file, options.process.output, options.control};
  for (const NamedAddress& each : options.listen)
    if (const auto* const local = std::get_if<UnixAddress>(&each.address);
        local != nullptr && !local->path.starts_with('@'))
      written.push_back(local->path);
  std::erase(written, "");
  return written;
}

Service service_for(const Request& request, const Options& options, const std::string& config) {
  Service service;
  service.baton = files::read_symlink("/proc/self/exe").string();
  service.config = config;
  service.command = request.command;
  // systemd's PATH is another one.
  if (!request.command.empty())
    service.command.front() = files::absolute(find_program(request.command.front())).string();
  service.directory = files::current_path().string();
  if (::geteuid() != 0) service.user = std::to_string(::geteuid());
  const ProcessSettings& process = options.process;
  const bool names_group = !process.group.empty() || process.user.find(':') != std::string::npos;
  if (process.account && !process.user.empty()) service.user = std::to_string(process.account->user);
  if (process.account && names_group) service.group = std::to_string(process.account->group);
  service.control = options.control;
  service.written = files_written(options);
  service.open_files = process.open_files.value_or(0);
  service.nice = process.nice.value_or(0);
  return service;
}

}  // namespace

int run_init(const Words& arguments) {
  const Request request = parse_request({arguments.begin() + 1, arguments.end()});
  const Options options = parse_options(with_command(request.arguments, request.command));
  // A file that baton would refuse is worse than none.
  check_policy_compatibility(options, options.workers);
  const files::path directory = files::absolute(request.directory).lexically_normal();
  const std::string config = (directory / "baton.toml").string();
  const std::string unit = (directory / "baton.service").string();
  const Service service = service_for(request, options, config);
  const std::string try_it = shell_line(with_command({"baton", "-c", config}, request.command));
  const std::string unit_lines = unit_text(service);
  const std::string text = config_text(settings_for(request, options), try_it);
  for (const std::string& each : {config, unit}) check_free(each, request.may_replace);
  write(config, text, request.may_replace);
  write(unit, unit_lines, request.may_replace);
  fmt::print("wrote {}\nwrote {}\n\n  try it      {}\n", config, unit, try_it);
  if (!request.command.empty())
    fmt::print("  examine it  {}\n", shell_line(with_command({"baton", "doctor", "-c", config}, request.command)));
  if (const std::string what = hindrance(service); !what.empty())
    fmt::print("  mind        the user that systemd makes up {}: --user names another\n", what);
  fmt::print("  install it  install -m 644 {} /etc/systemd/system/ && systemctl enable --now baton\n",
             shell_line({unit}));
  return EXIT_SUCCESS;
}

}  // namespace baton
