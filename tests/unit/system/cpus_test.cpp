// Unit tests of counting CPUs, on the texts of several kinds of machines.
#include "master/system/cpus.hpp"

#include <sched.h>

#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

constexpr const char* v2_mounts =
    "23 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw\n"
    "29 28 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n";

constexpr const char* v1_mounts =
    "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "30 25 0:26 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup cgroup rw,cpuset\n"
    "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:10 master:3 - cgroup cgroup rw,cpu,cpuacct\n";

constexpr const char* hybrid_mounts =
    "29 28 0:25 / /sys/fs/cgroup/unified rw,relatime shared:8 - cgroup2 cgroup2 rw\n"
    "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:10 - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_CASE("cgroup v2's cpu.max") {
  CHECK(cpus_of_cpu_max("200000 100000\n") == 2U);
  CHECK(cpus_of_cpu_max("150000 100000\n") == 2U);
  CHECK(cpus_of_cpu_max("50000 100000\n") == 1U);
  CHECK(cpus_of_cpu_max("1000 100000\n") == 1U);
  CHECK_FALSE(cpus_of_cpu_max("max 100000\n"));
  for (const char* none : {"", "\n", "max", "100000", "0 100000", "100000 0", "x y", " ", "-1 100000"}) {
    CAPTURE(none);
    CHECK_FALSE(cpus_of_cpu_max(none));
  }
}

TEST_CASE("cgroup v1's quota and period") {
  CHECK(cpus_of_cfs("400000\n", "100000\n") == 4U);
  CHECK(cpus_of_cfs("400001\n", "100000\n") == 5U);
  CHECK_FALSE(cpus_of_cfs("-1\n", "100000\n"));
  CHECK_FALSE(cpus_of_cfs("", ""));
  CHECK_FALSE(cpus_of_cfs("100000", ""));
}

TEST_CASE("a quota beyond all numbers is no small one") {
  CHECK(cpus_of_cfs("9223372036854775807", "100000").value_or(1'000'000) >= 1'000'000);
  CHECK(cpus_of_cpu_max("4294967296000 1000").value_or(1'000'000) >= 1'000'000);  // 2 to the 32nd CPUs
}

TEST_CASE("the CPU controller's group under v2") {
  const auto groups = find_cpu_groups("0::/user.slice/user-1000.slice\n", v2_mounts);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].is_v2);
  CHECK(groups[0].mount == "/sys/fs/cgroup");
  CHECK(groups[0].path == "/user.slice/user-1000.slice");
}

TEST_CASE("the CPU controller's group in a container of its own") {
  const auto groups = find_cpu_groups("0::/\n", v2_mounts);
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].path == "/");
}

TEST_CASE("the CPU controller's group under v1, among similar names") {
  const auto groups = find_cpu_groups(
      "12:cpuset:/set\n"
      "5:cpu,cpuacct:/docker/abc\n"
      "1:name=systemd:/other\n",
      v1_mounts);
  REQUIRE(groups.size() == 1);
  CHECK_FALSE(groups[0].is_v2);
  CHECK(groups[0].mount == "/sys/fs/cgroup/cpu,cpuacct");
  CHECK(groups[0].path == "/docker/abc");
}

TEST_CASE("the CPU controller's groups where v1 and v2 stand side by side") {
  const auto groups = find_cpu_groups("5:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/b:with:colons\n", hybrid_mounts);
  REQUIRE(groups.size() == 2);
  CHECK_FALSE(groups[0].is_v2);
  CHECK(groups[0].path == "/a");
  CHECK(groups[1].is_v2);
  CHECK(groups[1].mount == "/sys/fs/cgroup/unified");
  CHECK(groups[1].path == "/b:with:colons");
}

TEST_CASE("no control groups, no group") {
  CHECK(find_cpu_groups("", "").empty());
  CHECK(find_cpu_groups("0::/\n", "").empty());
  CHECK(find_cpu_groups("", v2_mounts).empty());
  CHECK(find_cpu_groups("0::/x\n", v1_mounts).empty());
  CHECK(find_cpu_groups("garbage\n0:\n::\n", "garbage - \n- - - - - - -\n").empty());
}

TEST_CASE("at least one CPU may be used, and no more than the mask has") {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  REQUIRE(::sched_getaffinity(0, sizeof mask, &mask) == 0);
  CHECK(usable_cpus() >= 1);
  CHECK(usable_cpus() <= static_cast<unsigned>(CPU_COUNT(&mask)));
}

}  // namespace baton::test
