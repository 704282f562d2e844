// Master. What a request to the control socket means: method, path, parameters and body on one side, a
// ControlRequest or a refusal on the other. Pure: no system calls.
#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "master/control/addressee.hpp"
#include "master/control/reply.hpp"
#include "master/control/verbs.hpp"
#include "master/state/operation.hpp"

namespace baton {

struct ControlRequest {
  VerbAction action = VerbAction::list;
  std::string amount;
  bool wait = true;
  Addressee to = {};  ///< of a message
  boost::json::value message = {};
  std::optional<std::chrono::milliseconds> time_limit = {};  ///< for a reply to it; nothing: none is wanted
  state::Operation operation = {};                           ///< of the shared state
  bool watch = false;                                        ///< its changes from now on
};

/// Parameters stand behind "?" or are the members of the body's JSON object; of a message and of the shared state, the
/// body is the thing itself.
std::variant<ControlRequest, Reply> parse_request(Audience audience, std::string_view method, std::string_view target,
                                                  std::string_view body);

}  // namespace baton
