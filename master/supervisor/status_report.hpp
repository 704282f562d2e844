// Master. What `baton status` and `GET /status` show: the workers, the listeners, and what is going on.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>

#include "master/cluster/cluster_listeners.hpp"
#include "master/dispatch/connection_handing.hpp"
#include "master/supervisor/open_listeners.hpp"
#include "master/supervisor/rollout.hpp"
#include "master/supervisor/worker_losses.hpp"

namespace baton {

class StatusReport {
 public:
  /// What it describes; all of it outlives this.
  struct Parts {
    const Pool& pool;
    const ProcessTable& processes;
    const Generations& generations;
    const OpenListeners& listeners;
    const ClusterListeners& asked_for;
    const ConnectionHanding& handing;
    const Rollout& rollout;
    const WorkerLosses& losses;
  };

  explicit StatusReport(const Parts& parts);

  void set_name(std::string name) { name_ = std::move(name); }
  /// The path of the control socket, or nothing.
  void set_control(std::string path) { control_ = std::move(path); }
  /// As given, or else the first address.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// As docs/control.md has it.
  [[nodiscard]] boost::json::object describe() const;

 private:
  [[nodiscard]] const char* state() const;
  [[nodiscard]] boost::json::array listeners() const;
  [[nodiscard]] boost::json::array workers() const;
  [[nodiscard]] boost::json::object worker(int id, const Member& member) const;
  [[nodiscard]] boost::json::object vacancy(const Pool::Vacancy& vacancy, TimePoint now) const;
  [[nodiscard]] boost::json::array addresses_of(const WorkerHandle& worker) const;
  [[nodiscard]] boost::json::object totals() const;

  Parts parts_;
  std::string name_;
  std::string control_;
  std::string started_;
};

}  // namespace baton
