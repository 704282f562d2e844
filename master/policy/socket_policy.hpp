// Master. What the policies differ in as to listening sockets: how many there are at one address, which of them a
// worker is handed, and what becomes of one whose worker has gone. Pure: binds nothing and sends nothing.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "master/listeners/address.hpp"

namespace baton {

/// Who is there for the listeners of one address, whose places are numbered like the slots.
struct ListenerUse {
  struct Place {
    unsigned slot = 0;
    bool listens = false;
  };
  /// A worker of a configuration that names this address, starting or ready.
  struct Worker {
    int id = 0;
    unsigned slot = 0;
    bool is_ready = false;
    bool can_borrow = false;  ///< it knows what to do with more than one listener, and how to give one back
  };
  enum class Owner : std::uint8_t { none, starting, ready };

  /// Who holds each slot that somebody holds.
  [[nodiscard]] std::map<unsigned, Owner> owners() const;

  std::vector<Place> places;  ///< in ascending order
  std::vector<Worker> workers;
  unsigned target = 0;     ///< of workers
  bool may_close = false;  ///< no configuration is left that needs more of them
  bool migrates = false;   ///< closing a listener moves its queue to the others on its port (net.ipv4.tcp_migrate_req)
};

/// What is to be.
struct ListenerPlan {
  std::vector<unsigned> closed;            ///< places: nobody needs them
  std::map<int, std::set<unsigned>> lent;  ///< by a worker's id: places of others that it serves, too
  std::vector<unsigned> stranded;          ///< places whose clients wait for their slot's next worker
};

class SocketPolicy {
 public:
  SocketPolicy() = default;
  SocketPolicy(const SocketPolicy&) = delete;
  SocketPolicy& operator=(const SocketPolicy&) = delete;
  virtual ~SocketPolicy() = default;

  /// One listener for all workers.
  [[nodiscard]] virtual bool is_common() const { return false; }
  /// Each worker has addresses of its own.
  [[nodiscard]] virtual bool has_own_addresses() const { return false; }
  /// The listeners of one address have the same port.
  [[nodiscard]] virtual bool shares_port() const { return false; }
  /// The place of the listener that a slot's workers are handed.
  [[nodiscard]] virtual unsigned place(unsigned slot) const { return slot; }
  /// Places that are there without any worker, so that clients wait for the first.
  [[nodiscard]] virtual unsigned least() const { return 1; }
  /// What the listener in `place` is bound to; `wanted` is the configuration's address.
  [[nodiscard]] virtual ListenAddress address(const ListenAddress& wanted, unsigned place) const;
  /// It is only bound until its worker listens.
  [[nodiscard]] virtual bool waits_for_worker(bool /*another_listens*/) const { return false; }

  [[nodiscard]] virtual ListenerPlan plan(const ListenerUse& use) const = 0;
  /// Throws UsageError where clients would be lost with so many workers: `use.target`. `can_lend`: they can borrow.
  virtual void check_target(const ListenerUse& /*use*/, bool /*can_lend*/) const {}
};

}  // namespace baton
