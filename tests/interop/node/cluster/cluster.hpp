// Interop tests of the dialect node-cluster.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/interop/peer.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/harness.hpp"

namespace baton::test {

using Words = std::vector<std::string>;

/// `flags`, and what program of cluster_program.js.
inline Words cluster(Words flags, const Words& program) {
  Words all{"--dialect", "node-cluster", "--name", "asked"};
  all.insert(all.end(), flags.begin(), flags.end());
  all.insert(all.end(), {"--", "node", script("node/cluster_program.js")});
  all.insert(all.end(), program.begin(), program.end());
  return all;
}

/// The how-manieth address that baton was asked for, from 1.
inline std::string asked(Baton& baton, std::size_t which = 1) {
  const std::string line = baton.program().wait_for(", for which worker", which).at(which - 1);
  const std::string_view begin = "listening on ";
  const std::size_t at = line.find(begin) + begin.size();
  return line.substr(at, line.find(", for which") - at);
}

inline std::set<pid_t> pids_of(Baton& baton) {
  const std::vector<pid_t> pids = baton.pids();
  return {pids.begin(), pids.end()};
}

/// Waits for the answer as such, on a connection that asks for its end.
inline pid_t ask(const std::string& address, const std::string& path) {
  Connection connection(address);
  connection.send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  return pid_in(connection.read_response());
}

}  // namespace baton::test
