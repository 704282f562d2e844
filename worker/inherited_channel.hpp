// Worker. Finds the channel that this process inherited, by Node's environment variables.
#pragma once

#include <optional>

#include "common/fd.hpp"

namespace baton {

/// Takes ownership of the descriptor in NODE_CHANNEL_FD and removes the variables, which are for this process alone:
/// a Node grandchild that saw them would abort. Throws UsageError when there is no usable channel.
Fd take_inherited_channel();

/// For a program that can do without: also one in BATON_CHANNEL_FD, which has no place in a Node child's sight. Nothing
/// where neither variable is set. Throws UsageError where what is set is no usable channel.
std::optional<Fd> find_inherited_channel();

/// This worker's number among its siblings (BATON_WORKER), or 0 where the master gave none.
int inherited_number();

}  // namespace baton
