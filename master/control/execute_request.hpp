// Master. Has the master do what a request to the control socket asks for. Owns nothing.
#pragma once

#include <optional>

#include "master/control/commands.hpp"
#include "master/control/control_request.hpp"
#include "master/control/reply.hpp"

namespace baton {

/// Its answers come one after another for as long as the client listens: events, or changes of the shared state.
bool is_stream(const ControlRequest& request);

/// It asks for something whose end it wants to hear of.
bool is_awaited(const ControlRequest& request);

/// Calls the command that is meant. Returns the reply where there is one at once: also of a command that was refused.
/// Nothing: the request is_awaited(), and `done` runs with the outcome; it may have done so already. Not for a stream.
std::optional<Reply> execute(const ControlRequest& request, Commands& commands, Audience audience, Done done);

}  // namespace baton
