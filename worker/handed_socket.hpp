// Worker. What kind of socket a descriptor is that somebody has sent.
#pragma once

#include "common/fd.hpp"

namespace baton {

/// A connected stream socket.
bool is_connection(const Fd& fd);

/// A stream socket that listens. One that is bound and does not listen yet is made to: so does Node, and its masters
/// count on it.
bool is_listener(const Fd& fd);

}  // namespace baton
