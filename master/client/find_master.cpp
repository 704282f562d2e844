// Client. Looking into the directories of control sockets.
#include "master/client/find_master.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "common/error.hpp"
#include "master/control/control_path.hpp"

namespace baton {
namespace {

std::string joined(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& each : all) text += (text.empty() ? "" : ", ") + each;
  return text;
}

std::vector<RunningMaster> all_running() {
  std::vector<RunningMaster> all;
  for (const std::string& directory : control_directories())
    for (RunningMaster& each : running_masters(directory)) all.push_back(std::move(each));
  return all;
}

}  // namespace

std::string find_master(const std::string& control, const std::string& name) {
  if (!control.empty()) return control;
  const std::vector<RunningMaster> running = all_running();
  std::vector<RunningMaster> fitting;
  std::vector<std::string> shown;
  for (const RunningMaster& each : running) {
    const bool fits = name.empty() || each.path.ends_with(control_path("", name));
    if (fits) fitting.push_back(each);
    shown.push_back(each.pid == 0 ? each.name : fmt::format("{} (pid {})", each.name, each.pid));
  }
  if (fitting.size() == 1) return fitting.front().path;
  if (fitting.size() > 1 && name.empty())
    throw StartError(fmt::format("several batons are running: {}; --name chooses one", joined(shown)));
  if (fitting.size() > 1)
    throw StartError(fmt::format("several batons have the name \"{}\": --control chooses {} or {}", name,
                                 fitting[0].path, fitting[1].path));
  const std::string with_name = name.empty() ? "" : fmt::format(" with the name \"{}\"", name);
  const std::string others = shown.empty() ? "" : fmt::format("; there are: {}", joined(shown));
  throw StartError(fmt::format("no baton{} is running (looked in {}; --control names another socket{})", with_name,
                               joined(control_directories()), others));
}

}  // namespace baton
