// Master. What a request to the control socket means: method, path, parameters and body on one side, a demand or a
// refusal on the other. Pure: no system calls.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "master/verbs.hpp"

namespace baton {

/// A status code and one JSON value.
struct Reply {
  unsigned status = 200;
  std::string body;
  std::string allow;  ///< the methods that the path knows, of a 405
};

/// {"ok":…,"message":…}
Reply reply_with(unsigned status, bool ok, std::string_view message);

struct Demand {
  VerbAction action = VerbAction::list;
  std::string amount;
  bool wait = true;
};

/// Parameters stand behind "?" or are the members of the body's JSON object.
std::variant<Demand, Reply> understand(std::string_view method, std::string_view target, std::string_view body);

}  // namespace baton
