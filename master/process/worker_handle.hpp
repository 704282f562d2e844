// Master. The master's record of one worker process (the worker's own side is in worker/).
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <csignal>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/channel.hpp"
#include "common/clock.hpp"
#include "master/dialect/ack_socket.hpp"
#include "master/output/worker_output.hpp"
#include "master/process/cluster_talk.hpp"
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

struct WorkerHandle {
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

  int id;                          ///< of this process, among all that this master ever starts
  unsigned number;                 ///< of its slot
  std::optional<std::size_t> row;  ///< of the scoreboard; commands have to ask for one
  std::shared_ptr<const Generation> generation;
  Child child;
  Watch process_watch;                                       // after the child: destroyed before its pidfd closes
  std::unique_ptr<ChannelEnd> channel_end;                   ///< empty once the channel has ended or was given up
  std::unique_ptr<AckEnd> ack_end;                           ///< of an Einhorn worker
  std::unique_ptr<NotifyEnd> notify_end;                     ///< of a command; empty otherwise, and after its end
  std::array<std::unique_ptr<OutputEnd>, 2> outputs;         ///< by Stream; of a command, until their end
  std::deque<std::shared_ptr<Vault>> unacknowledged;         ///< whose listeners it has not confirmed
  std::map<std::uint64_t, std::shared_ptr<Vault>> borrowed;  ///< whose listeners it serves for others, by cookie
  std::unique_ptr<ClusterTalk> cluster;                      ///< of the dialect node-cluster; empty otherwise
  bool is_greeted = false;                                   ///< and has not answered that yet
  bool takes_many = false;                                   ///< it has, and is handed many connections at once
  bool is_probed = false;                                    ///< and has not answered that yet
  bool wants_room = false;                                   ///< there was none in its channel for connections
  unsigned refusals = 0;                                     ///< listeners that it could not receive
  int stop_signal = SIGTERM;                                 ///< the signal that asks it to finish
  bool said_ready = false;
  bool notified_ready = false;
  bool accepts = false;     ///< it was seen to wait for connections
  bool said_hello = false;  ///< of a command: it knows baton, and will say that it is ready
  bool has_spoken = false;  ///< on its channel
  bool is_ready = false;
  bool flushing = false;   ///< a task is waiting to send the rest
  bool loss_told = false;  ///< that it does not read
  RateLimit log_lines;     ///< about what it sends
  std::string status;      ///< its own words about itself
  TimePoint started{};
  TimePoint last_sign{};  ///< of life
  TimePoint retires_at = TimePoint::max();
};

}  // namespace baton
