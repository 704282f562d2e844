// Master. What a worker is started with: its descriptors, its arguments, its environment. Each dialect has a function
// of its own that says so, in a file of its own.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "master/dialect.hpp"
#include "master/dialect/ack_socket.hpp"
#include "master/vault.hpp"

namespace baton {

/// Who is about to be started.
struct Recruit {
  unsigned number = 0;                            ///< of its post
  unsigned generation = 0;                        ///< of its configuration
  int id = 0;                                     ///< of its process, among all that this master ever starts
  uid_t user = 0;                                 ///< whom it is to run as
  const std::vector<std::string>& arguments;      ///< as configured
  std::vector<std::shared_ptr<Vault>> listeners;  ///< that it is to have
  bool nonblocking = false;                       ///< as which it is to inherit them
};

struct Equipment {
  std::vector<Fd> descriptors;          ///< in the worker they are 3, 4, 5 …
  std::vector<std::string> arguments;   ///< from argv[0] on
  std::vector<std::string> variables;   ///< "NAME=value" to be set, "NAME" to be taken out
  std::string pid_variable;             ///< that is to hold the worker's own pid; empty: none
  std::optional<AckSocket> ack_socket;  ///< Einhorn's
};

constexpr int first_descriptor = 3;

/// `channel` is the worker's end. Throws std::system_error.
Equipment equip(Dialect dialect, const Recruit& recruit, Fd channel);

// One for each dialect.
Equipment equip_channel(const Recruit& recruit, Fd channel);
Equipment equip_node_cluster(const Recruit& recruit, Fd channel);
Equipment equip_listen_fds(const Recruit& recruit, Fd channel);
Equipment equip_einhorn(const Recruit& recruit, Fd channel);
Equipment equip_server_starter(const Recruit& recruit, Fd channel);

}  // namespace baton
