// Master. The master's record of one worker (the worker's own side is in worker/).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>
#include <utility>

#include "common/channel.hpp"
#include "common/protocol.hpp"
#include "master/child.hpp"
#include "master/watch.hpp"

namespace baton {

/// A channel with what Asio needs to wait for it.
struct ChannelEnd {
  ChannelEnd(const boost::asio::any_io_executor& executor, Fd socket)
      : channel(std::move(socket)), watch(executor, channel.socket()) {}

  Channel channel;
  Watch watch;  // after the channel: destroyed before it closes
};

struct WorkerHandle {
  WorkerHandle(int its_number, const boost::asio::any_io_executor& executor, Child its_child, Fd socket)
      : number(its_number),
        child(std::move(its_child)),
        process_watch(executor, child.pidfd()),
        end(std::make_unique<ChannelEnd>(executor, std::move(socket))) {}

  /// "worker 2 pid 4243": how log lines begin.
  [[nodiscard]] std::string name() const;

  int number;
  Child child;
  Watch process_watch;              // after the child: destroyed before its pidfd closes
  std::unique_ptr<ChannelEnd> end;  ///< empty once the channel has ended or was given up
  protocol::Phase phase = protocol::Phase::starting;
  unsigned unacknowledged = 0;  ///< handles sent that the worker has not confirmed
  bool said_ready = false;
  bool flushing = false;  ///< a task is waiting to send the rest
};

}  // namespace baton
