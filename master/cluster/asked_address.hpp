// Master. What a worker of Node's cluster asks for when its program listens: which address, whether it can be had, and
// which questions are the same. Pure but for the umask, the working directory and this process's user.
#pragma once

#include <string>

#include "common/cluster_messages.hpp"
#include "master/listeners/address.hpp"
#include "master/settings/process_options.hpp"

namespace baton {

/// For a person: "unix:/run/x.sock", "*:8080".
std::string wanted_address(const protocol::Query& query);

/// The same for all who mean the same. Where any port will do, each index is another.
std::string question_of(const protocol::Query& query);

/// Throws ListenError for what no listener of ours can be. Node's own primary would use a descriptor of its own by
/// number, and bind UDP.
void check_kind(const protocol::Query& query);

/// Throws ListenError where it is bound with this process's rights, which workers of another user are not to have.
void check_rights(const protocol::Query& query, const ProcessSettings& settings);

/// Where a program asks to listen. Throws ListenError where that can't be.
ListenAddress address_asked(const protocol::Query& query);

}  // namespace baton
