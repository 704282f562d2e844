// Master. What nobody tells, and only looking shows: workers that hang, that are worn out, or that have closed their
// channel. Looks once a second, or more often where --hang-timeout asks for it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "master/dispatch/connection_handing.hpp"
#include "master/settings/generations.hpp"
#include "master/supervisor/recycling.hpp"
#include "master/supervisor/worker_losses.hpp"

namespace baton {

class HealthChecks {
 public:
  /// What it works with; all of it outlives this.
  struct Parts {
    const Pool& pool;
    const ProcessTable& processes;
    const Generations& generations;
    const ConnectionHanding& handing;
    WorkerLosses& losses;
    Recycling& recycling;
  };

  HealthChecks(const boost::asio::any_io_executor& executor, const Parts& parts) : parts_(parts), timer_(executor) {}

  /// Until end(), or until the last worker has gone; `looked` runs after each look.
  boost::asio::awaitable<void> follow(std::function<void(TimePoint)> looked);
  void end() { timer_.cancel(); }

 private:
  void find_hung(TimePoint now);
  void find_worn_out(TimePoint now);
  void find_mute();

  Parts parts_;
  boost::asio::steady_timer timer_;
};

}  // namespace baton
