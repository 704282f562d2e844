// Master. Reads affinity and control groups.
#include "master/system/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <limits>
#include <sstream>

namespace baton {
namespace {

std::string read_file(const std::string& path) {
  // By way of rdbuf(), which takes a read that fails (a group removed meanwhile) for the end, and does not throw.
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

bool names_cpu(std::string_view list) {
  const auto names = split(list, ',');
  return std::find(names.begin(), names.end(), "cpu") != names.end();
}

/// mountinfo: id parent major:minor root mount-point options … - type source super-options
std::string mount_point(std::string_view mountinfo, bool is_v2) {
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 5 || std::distance(dash, fields.end()) < 4) continue;
    const bool matches = is_v2 ? dash[1] == "cgroup2" : dash[1] == "cgroup" && names_cpu(dash[3]);
    if (matches) return std::string(fields[4]);
  }
  return {};
}

std::optional<unsigned> quota_at(const CpuGroup& group, const std::string& path) {
  const std::string directory = group.mount + path;
  if (group.is_v2) return cpus_of_cpu_max(read_file(directory + "/cpu.max"));
  return cpus_of_cfs(read_file(directory + "/cpu.cfs_quota_us"), read_file(directory + "/cpu.cfs_period_us"));
}

/// The least quota of a group and its ancestors, for each of them binds. In a container the path can name a directory
/// of the host's that isn't visible here; the mount's root is then the container's own group.
std::optional<unsigned> least_quota(const CpuGroup& group) {
  std::optional<unsigned> least;
  for (std::string path = group.path == "/" ? "" : group.path;; path.erase(path.rfind('/'))) {
    if (const auto quota = quota_at(group, path)) least = std::min(least.value_or(*quota), *quota);
    if (path.empty()) return least;
    if (path.rfind('/') == std::string::npos) return least;
  }
}

}  // namespace

std::optional<unsigned> cpus_of_cfs(std::string_view quota, std::string_view period) {
  const auto microseconds = number(quota);
  const auto every = number(period);
  if (!microseconds || !every || *microseconds <= 0 || *every <= 0) return std::nullopt;
  const std::int64_t cpus = *microseconds / *every + (*microseconds % *every > 0 ? 1 : 0);
  return static_cast<unsigned>(std::min<std::int64_t>(cpus, std::numeric_limits<int>::max()));
}

std::optional<unsigned> cpus_of_cpu_max(std::string_view text) {
  const auto space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return cpus_of_cfs(text.substr(0, space), text.substr(space + 1));
}

std::vector<CpuGroup> find_cpu_groups(std::string_view cgroup, std::string_view mountinfo) {
  std::vector<CpuGroup> groups;
  for (const std::string_view line : split(cgroup, '\n')) {  // id:controllers:path
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool is_v2 = controllers.empty();
    if (!is_v2 && !names_cpu(controllers)) continue;
    std::string mount = mount_point(mountinfo, is_v2);
    if (!mount.empty()) groups.push_back({is_v2, std::move(mount), std::string(line.substr(second + 1))});
  }
  return groups;
}

unsigned usable_cpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  // More CPUs than the mask holds is the one way for this to fail; then the quota alone must do.
  unsigned count =
      ::sched_getaffinity(0, sizeof mask, &mask) == 0 ? static_cast<unsigned>(CPU_COUNT(&mask)) : CPU_SETSIZE;
  for (const CpuGroup& group : find_cpu_groups(read_file("/proc/self/cgroup"), read_file("/proc/self/mountinfo")))
    if (const auto quota = least_quota(group)) count = std::min(count, *quota);
  return std::max(count, 1U);
}

}  // namespace baton
