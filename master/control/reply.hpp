// Master. An answer of the control socket: what it says, and how it is written as HTTP/1.1. Pure: no system calls.
#pragma once

#include <string>
#include <string_view>

#include "master/control/commands.hpp"

namespace baton {

/// A status code and one JSON value.
struct Reply {
  unsigned status = 200;
  std::string body;
  std::string allow;  ///< the methods that the path knows, of a 405
};

/// {"ok":…,"message":…}
Reply reply_with(unsigned status, bool ok, std::string_view message);

/// How a command ended: 200, 409, or 413 for a message that is too large.
Reply reply_of(const Outcome& outcome);

/// Why the shared state did nothing, in the same words as on the channel.
Reply reply_of(const state::Refusal& refusal);

/// What an answer's form depends on, besides what it says.
struct ReplyForm {
  bool is_old = false;  ///< the request was of HTTP/1.0
  bool keeps_alive = true;
  bool has_body = true;  ///< false: the request was HEAD
};

/// Adds the header and the body.
void append_http(std::string& text, const Reply& reply, const ReplyForm& form);

}  // namespace baton
