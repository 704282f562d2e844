// Master. How many CPUs this process may use: its affinity mask, lowered by the quota of its control groups.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

/// At least 1. What Node's os.availableParallelism() counts, and the quota besides.
unsigned usable_cpus();

// The pure parts, for tests:

/// CPUs that a quota amounts to, rounded up: from cgroup v2's cpu.max ("200000 100000", "max 100000").
std::optional<unsigned> cpus_of_cpu_max(std::string_view text);
/// The same from cgroup v1's cpu.cfs_quota_us ("-1" is none) and cpu.cfs_period_us.
std::optional<unsigned> cpus_of_cfs(std::string_view quota, std::string_view period);

/// Where a process's CPU controller is.
struct CpuGroup {
  bool is_v2 = false;
  std::string mount;  ///< of the hierarchy: "/sys/fs/cgroup"
  std::string path;   ///< in it: "/user.slice/x"
};
/// From the texts of /proc/self/cgroup and /proc/self/mountinfo. A v1 and a v2 hierarchy can stand side by side.
std::vector<CpuGroup> find_cpu_groups(std::string_view cgroup, std::string_view mountinfo);

}  // namespace baton
