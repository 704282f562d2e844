// Master. The master's record of one worker process (the worker's own side is in worker/): the process, the ends of its
// sockets and pipes, and what is known of it. Owns its descriptors.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <csignal>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/channel.hpp"
#include "common/clock.hpp"
#include "master/dialect/ack_socket.hpp"
#include "master/output/worker_output.hpp"
#include "master/process/cluster_state.hpp"
#include "master/process/notify_socket.hpp"
#include "master/process/rate_limit.hpp"
#include "master/settings/generation.hpp"
#include "master/system/child.hpp"
#include "master/system/watch.hpp"

namespace baton {

/// A channel with what Asio needs to wait for it.
struct ChannelEnd {
  ChannelEnd(const boost::asio::any_io_executor& executor, Fd socket)
      : channel(std::move(socket)), watch(executor, channel.socket()) {}

  Channel channel;
  Watch watch;  // after the channel: destroyed before it closes
};

/// The same for a command's NOTIFY_SOCKET.
struct NotifyEnd {
  NotifyEnd(const boost::asio::any_io_executor& executor, NotifySocket made)
      : notify_socket(std::move(made)), watch(executor, notify_socket.socket()) {}

  NotifySocket notify_socket;
  Watch watch;
};

/// The same for the socket on which Einhorn's workers say that they are ready.
struct AckEnd {
  AckEnd(const boost::asio::any_io_executor& executor, AckSocket made)
      : acks(std::move(made)), watch(executor, acks.events()) {}

  AckSocket acks;
  Watch watch;
};

/// Tasks that wait on its behalf keep it alive, though its process may be no more.
struct WorkerHandle : std::enable_shared_from_this<WorkerHandle> {
  WorkerHandle(const boost::asio::any_io_executor& executor, int its_id, unsigned its_number,
               std::shared_ptr<const Generation> its_generation, Child its_child, Fd socket)
      : id(its_id),
        number(its_number),
        generation(std::move(its_generation)),
        child(std::move(its_child)),
        process_watch(executor, child.pidfd()),
        channel_end(std::make_unique<ChannelEnd>(executor, std::move(socket))) {}

  /// "worker 2 pid 4243": how log lines begin.
  [[nodiscard]] std::string name() const;
  /// It was handed that listener as its own.
  [[nodiscard]] bool holds_by_right(const Vault& vault) const;
  /// Whether a line about what it sent may go to the log: of a flood, a part may. Says so itself where lines are left
  /// out.
  bool may_log();

  /// What it was sent and has not answered.
  struct Pending {
    std::deque<std::shared_ptr<Vault>> listeners;  ///< whose descriptors it has not confirmed, the oldest first
    bool greeting = false;                         ///< of a worker that is handed connections
    bool probe = false;                            ///< whether it reads its channel
  };

  /// What waits to be sent on its channel.
  struct Sending {
    bool is_flushing = false;  ///< a task waits to send the rest
    bool wants_room = false;   ///< somebody who found none is to be told
    bool loss_told = false;    ///< the log says that it does not read
  };

  /// What it has shown on the way to being ready (readiness.hpp).
  struct Shown {
    bool said_hello = false;
    bool said_ready = false;
    bool notified_ready = false;
    bool accepts = false;
  };

  int id;           ///< of this process, among all that this master ever starts
  unsigned number;  ///< of its slot
  std::shared_ptr<const Generation> generation;
  Child child;
  Watch process_watch;   // after the child: destroyed before its pidfd closes
  bool is_gone = false;  ///< its process is reaped

  std::unique_ptr<ChannelEnd> channel_end;            ///< empty once the channel has ended or was given up
  std::unique_ptr<AckEnd> ack_end;                    ///< of an Einhorn worker
  std::unique_ptr<NotifyEnd> notify_end;              ///< of a command; empty otherwise, and after its end
  std::array<std::unique_ptr<OutputEnd>, 2> outputs;  ///< by Stream; of a command, until their end

  std::optional<std::size_t> row;                            ///< of the scoreboard; commands have to ask for one
  std::map<std::uint64_t, std::shared_ptr<Vault>> borrowed;  ///< whose listeners it serves for others, by cookie
  std::set<std::uint64_t> listener_inodes;                   ///< by which it can be seen to wait for connections
  int stop_signal = SIGTERM;                                 ///< the signal that asks it to finish

  Pending pending;
  Sending sending;
  Shown shown;
  std::unique_ptr<ClusterState> cluster;  ///< of the dialect node-cluster; empty otherwise
  unsigned refusals = 0;                  ///< listeners that it could not receive
  bool takes_many = false;                ///< it is handed many connections at once
  bool has_spoken = false;                ///< on its channel
  bool is_ready = false;
  RateLimit log_lines;  ///< about what it sends
  std::string status;   ///< its own words about itself

  TimePoint started{};
  TimePoint last_sign{};  ///< of life
  TimePoint retires_at = TimePoint::max();
};

/// All that are alive, by id.
using Workers = std::map<int, std::shared_ptr<WorkerHandle>>;

}  // namespace baton
