// Client. Which of the masters that run here is meant.
#pragma once

#include <string>

namespace baton {

/// The path of a master's control socket: `control` where it is given, else that of the only master that runs, or of
/// the only one with this name. Throws StartError, which names those that there are.
std::string find_master(const std::string& control, const std::string& name);

}  // namespace baton
