// Master. A listener that the master accepts from by itself, while it is served: under the policies `roundrobin`,
// `leastconn` and `source`. Owns a descriptor of it, beside the vault's.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>

#include "common/fd.hpp"
#include "master/dispatch/recipient.hpp"
#include "master/listeners/vault.hpp"
#include "master/system/watch.hpp"

namespace baton {

struct OpenListener {
  /// `is_counted`: what workers have open matters. Throws std::system_error.
  OpenListener(const boost::asio::any_io_executor& executor, std::shared_ptr<Vault> its_vault, bool is_counted);

  struct Accepted {
    std::optional<Connection> connection;
    int error = 0;  ///< an errno that is not of a single connection; 0 without a connection: none is queued
  };
  /// One connection, without blocking; with its client's address where `with_address`.
  [[nodiscard]] Accepted accept(bool with_address) const;

  void close();

  std::shared_ptr<Vault> vault;
  std::shared_ptr<Origin> origin;
  Fd socket;
  std::unique_ptr<Watch> watch;  ///< empty once it is closed
  boost::asio::steady_timer resume;
  bool is_stalled = false;  ///< nobody has room: its coroutine waits until `resume` is cancelled
};

}  // namespace baton
