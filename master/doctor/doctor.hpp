// Doctor. `baton doctor -- command`: is this command a good worker? Runs it under a baton of its own, from its start to
// its end, and reports point by point.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

inline bool is_doctor_command(std::string_view word) {
  return word == "doctor";
}

/// `arguments` begin with the command. Returns the exit code: 0 nothing is wrong, 1 something is, 3 it can't be run at
/// all, 128 and the signal where it was interrupted. Throws UsageError, InformationAsked.
int run_doctor(const std::vector<std::string>& arguments);

}  // namespace baton
