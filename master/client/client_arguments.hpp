// Client. What the words behind `baton status`, `baton scale` … ask for, checked as far as it can be without a master.
#pragma once

#include <string>
#include <vector>

#include "master/control/verbs.hpp"

namespace baton {

struct ClientArguments {
  const Verb* verb = nullptr;
  std::string amount;
  std::string body;  ///< of a message
  std::string control;
  std::string name;
  bool json = false;
  bool no_wait = false;
};

/// The first of them is a verb's command. Throws UsageError, InformationAsked.
ClientArguments parse_client_arguments(const std::vector<std::string>& arguments);

}  // namespace baton
