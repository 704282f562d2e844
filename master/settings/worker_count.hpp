// Master. A number of workers as a person writes it. Pure.
#pragma once

#include <string_view>

namespace baton {

/// The number of workers that `amount` means where there are `from`: "8", "+2", "-1" (not below 0). Throws UsageError.
unsigned parse_worker_count(std::string_view amount, unsigned from);

}  // namespace baton
