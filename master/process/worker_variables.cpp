// Master. Variables of the user's settings, of the account, and of the master's sockets.
#include "master/process/worker_variables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace baton {
namespace {

bool sets(const std::vector<std::string>& variables, const std::string& name) {
  return std::any_of(variables.begin(), variables.end(),
                     [&](const std::string& each) { return each.starts_with(name + "="); });
}

/// Programs look for their user's files by these.
void add_account(const ProcessSettings& settings, std::vector<std::string>& variables) {
  if (!settings.account) return;
  const std::pair<const char*, const std::string&> of_account[] = {
      {"USER", settings.account->name}, {"LOGNAME", settings.account->name}, {"HOME", settings.account->home}};
  for (const auto& [name, value] : of_account)
    if (!value.empty() && !sets(settings.variables, name)) variables.push_back(std::string(name) + "=" + value);
}

}  // namespace

std::vector<std::string> worker_variables(const Options& options, const MasterSockets& sockets) {
  std::vector<std::string> variables = options.process.variables;
  add_account(options.process, variables);
  const bool tells_control = !options.command.empty() && !sockets.control.empty();
  variables.push_back(tells_control ? "BATON_CONTROL=" + sockets.control : "BATON_CONTROL");
  // Those of our own supervisor are not for our workers.
  for (const char* each : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) variables.emplace_back(each);
  if (sockets.notify.empty()) return variables;
  variables.push_back("NOTIFY_SOCKET=" + sockets.notify);
  if (options.hang_timeout.count() > 0)
    variables.push_back(fmt::format("WATCHDOG_USEC={}", std::chrono::microseconds(options.hang_timeout).count()));
  return variables;
}

}  // namespace baton
