// Process tests of --policy reuseport.
#pragma once

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"

namespace baton::test {

inline std::vector<std::string> reuseport(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--policy", "reuseport"});
  return arguments;
}

inline Inodes listeners_of(pid_t pid) {
  return common_to(sockets_of(pid), listening_sockets());
}

/// Each of them holds so many listeners.
inline bool each_holds(const std::vector<pid_t>& pids, std::size_t listeners) {
  const Inodes listening = listening_sockets();
  return std::all_of(pids.begin(), pids.end(),
                     [&](pid_t each) { return common_to(sockets_of(each), listening).size() == listeners; });
}

inline std::vector<pid_t> living(Baton& baton) {
  return living_children_of(baton.pid());
}

inline double busiest_to_mean(const std::map<pid_t, int>& shares) {
  int most = 0;
  int all = 0;
  for (const auto& [pid, count] : shares) {
    most = std::max(most, count);
    all += count;
  }
  return most * static_cast<double>(shares.size()) / all;
}

inline void scale(Baton& baton, unsigned to) {
  const Outcome outcome = run_baton({"scale", std::to_string(to), "--control", baton.control()});
  CAPTURE(to, outcome.output, outcome.errors);
  CHECK(outcome.end == "code 0");
}

/// Whether the kernel moves the queue of a closed listener to the others.
inline bool queues_migrate() {
  int value = 0;
  std::ifstream("/proc/sys/net/ipv4/tcp_migrate_req") >> value;
  return value != 0;
}

}  // namespace baton::test
