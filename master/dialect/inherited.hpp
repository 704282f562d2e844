// Master. What the dialects have in common whose workers have their listeners from the start.
#pragma once

#include <vector>

#include "master/dialect/handoff.hpp"
#include "master/dialect/placeholders.hpp"

namespace baton {

/// The listeners from descriptor 3 on, behind them the channel, for programs that know baton; the arguments filled, and
/// none of Node's variables: a Node process that such a worker starts would take the channel for its own, and abort
/// where it is not there.
struct Inherited {
  Inherited(const WorkerSpec& spec, Fd channel);

  Handoff handoff;
  std::vector<ListenerFacts> listeners;
};

}  // namespace baton
