// Master. A connection that was accepted for a worker, and the listener that it came from.
#pragma once

#include <memory>
#include <string>

#include "common/fd.hpp"
#include "common/protocol.hpp"
#include "master/policy/client_address.hpp"

namespace baton {

class Vault;

/// The listener that a connection came from, as far as its worker is to know it.
struct Origin {
  Origin(const Vault& its_listener, const std::string& name, bool is_counted)
      : listener(&its_listener),
        quoted_name(protocol::quoted(name)),
        handle_line(protocol::connection_line(name, is_counted)) {}

  const Vault* listener;
  std::string quoted_name;
  std::string handle_line;
  bool is_closed = false;  ///< nobody listens there any more: whoever can may have what came from it
};

struct Connection {
  Fd socket;
  ClientAddress client;
  std::shared_ptr<const Origin> origin;
};

}  // namespace baton
