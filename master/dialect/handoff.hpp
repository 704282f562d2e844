// Master. What a worker is started with: its descriptors, its arguments, its environment. Each dialect has a function
// of its own that says so, in a file of its own.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "master/dialect/ack_socket.hpp"
#include "master/dialect/dialect.hpp"
#include "master/listeners/vault.hpp"

namespace baton {

/// Who is about to be started.
struct WorkerSpec {
  unsigned number = 0;                            ///< of its slot
  unsigned generation = 0;                        ///< of its configuration
  int id = 0;                                     ///< of its process, among all that this master ever starts
  uid_t user = 0;                                 ///< whom it is to run as
  const std::vector<std::string>& arguments;      ///< as configured
  std::vector<std::shared_ptr<Vault>> listeners;  ///< that it is to have
  bool nonblocking = false;                       ///< as which it is to inherit them
};

struct Handoff {
  std::vector<Fd> descriptors;          ///< in the worker they are 3, 4, 5 …
  std::vector<std::string> arguments;   ///< from argv[0] on
  std::vector<std::string> variables;   ///< "NAME=value" to be set, "NAME" to be taken out
  std::string pid_variable;             ///< that is to hold the worker's own pid; empty: none
  std::optional<AckSocket> ack_socket;  ///< Einhorn's
};

constexpr int first_descriptor = 3;

/// `channel` is the worker's end. Throws std::system_error.
Handoff make_handoff(Dialect dialect, const WorkerSpec& spec, Fd channel);

// One for each dialect.
Handoff hand_off_channel(const WorkerSpec& spec, Fd channel);
Handoff hand_off_node_cluster(const WorkerSpec& spec, Fd channel);
Handoff hand_off_listen_fds(const WorkerSpec& spec, Fd channel);
Handoff hand_off_einhorn(const WorkerSpec& spec, Fd channel);
Handoff hand_off_server_starter(const WorkerSpec& spec, Fd channel);

}  // namespace baton
