// Master. What belongs to the conversation with one worker of the dialect `node-cluster`.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "master/listeners/vault.hpp"

namespace baton {

struct ClusterState {
  /// An answer with a listener, which the worker has not confirmed to have received.
  struct Unconfirmed {
    std::string line;
    std::shared_ptr<Vault> vault;
  };

  std::deque<Unconfirmed> unconfirmed;
  std::uint64_t last_seq = 0;
  unsigned refusals = 0;    ///< questions that were refused
  unsigned losses = 0;      ///< of listeners on their way
  bool is_online = false;   ///< it has said that it knows this conversation
  bool listens = false;     ///< on all that it has asked for
  bool is_leaving = false;  ///< it was asked to, or has said so itself
  /// Once its channel has ended: till it is asked to end by a signal. It is cancelled with its process's end.
  std::shared_ptr<boost::asio::steady_timer> patience;
};

}  // namespace baton
