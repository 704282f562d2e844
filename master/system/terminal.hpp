// Master. What a person's terminal is asked.
#pragma once

#include <cstdio>

namespace baton {

/// Whether that stream is a terminal with colours, and its user has not said otherwise (https://no-color.org).
bool wants_colours(std::FILE* stream);

}  // namespace baton
