// Master. Which settings go with which policy. Pure.
#pragma once

#include "master/settings/options.hpp"

namespace baton {

/// Throws UsageError with the reason why these settings can't be had together, for that many workers.
void check_policy_compatibility(const Options& options, unsigned workers);

}  // namespace baton
