// Master. The supervisor's side of the policies whose master accepts: who takes part, which listeners are served, and
// that a worker is asked to finish only once it has acknowledged what it was handed.
#include <algorithm>
#include <utility>

#include "common/log.hpp"
#include "master/supervisor/supervisor.hpp"
#include "master/system/open_files.hpp"

namespace baton {
namespace {

std::vector<std::shared_ptr<Vault>> vaults(const std::vector<std::shared_ptr<ListenerGroup>>& groups) {
  std::vector<std::shared_ptr<Vault>> all;
  for (const auto& group : groups)
    for (const auto& [place, vault] : group->vaults()) all.push_back(vault);
  return all;
}

}  // namespace

void Supervisor::prepare_dispatch(Policy policy) {
  if (!hands_connections(policy)) return;
  dispatcher_ = std::make_unique<Dispatcher>(executor_, policy);
  if (!processes_.has_open_files()) processes_.set_open_files(raise_open_files());
}

/// Whatever listens is served. What listens no more has closed its gate itself.
void Supervisor::open_gates() {
  if (!dispatcher_) return;
  for (const Generations& each : {generation_, old_generation_})
    if (each) open_gates(each->listeners);
  open_gates(cluster_listeners_.groups());
}

void Supervisor::open_gates(const std::vector<std::shared_ptr<ListenerGroup>>& groups) {
  for (const auto& vault : vaults(groups)) {
    if (vault->is_empty() || !vault->is_listening()) continue;
    try {
      dispatcher_->open(vault);
    } catch (const std::system_error& error) {  // the next event tries again
      log::error("can't accept on {}: {}", vault->address(), error.what());
    }
  }
}

void Supervisor::begin_dispatch(WorkerHandle& worker) {
  if (!dispatcher_) return;
  const auto send = [this, id = worker.id](std::string_view line, std::span<const int> handles) {
    return processes_.send_now(id, line, handles);
  };
  if (worker.cluster) {
    dispatcher_->add_cluster(key_of(worker), send, [pid = worker.child.pid()] { return open_files_of(pid); });
    for (const ClusterListeners::Holding& each : cluster_listeners_.holdings(worker.id))
      dispatcher_->serve(key_of(worker), *each.vault, each.key);
    return;
  }
  std::vector<const Vault*> served;
  for (const auto& vault : vaults(worker.generation->listeners)) served.push_back(vault.get());
  dispatcher_->add(key_of(worker), served, worker.takes_many, send);
}

/// `action` waits for acknowledgements where it is a request to finish: after it, the worker may read no more.
void Supervisor::end_dispatch(int id, Action action) {
  if (!dispatcher_) return processes_.carry_out(id, action);
  const auto carry_out = [this, id, action] { processes_.carry_out(id, action); };
  if (action == Action::drain) return dispatcher_->retire(key_of(processes_.at(id)), carry_out);
  if (action != Action::none) dispatcher_->retire(key_of(processes_.at(id)), [] {});
  carry_out();
}

void Supervisor::end_dispatch(const WorkerHandle& ended) {
  if (!dispatcher_) return;
  if (const std::size_t count = dispatcher_->remove(key_of(ended)); count > 0)
    log::debug("{}: {} connections that it had not acknowledged go to others", ended.name(), count);
}

bool Supervisor::on_answer(WorkerHandle& worker, const protocol::Message& message) {
  return dispatcher_ && dispatcher_->hear(key_of(worker), message);
}

void Supervisor::on_writable(WorkerHandle& worker) {
  if (dispatcher_) dispatcher_->on_writable(key_of(worker));
  bus_.make_up(worker.id);
}

void Supervisor::on_channel_end(WorkerHandle& worker) {
  if (!dispatcher_) return;
  if (const std::size_t count = dispatcher_->disconnect(key_of(worker)); count > 0)
    log::debug("{}: {} connections that it had not acknowledged go to others", worker.name(), count);
}

void Supervisor::describe_load(const WorkerHandle& worker, boost::json::object& described) const {
  if (!dispatcher_) return;
  const Dispatcher::Load load = dispatcher_->load(key_of(worker));
  described["in_flight"] = load.in_flight;
  if (generation_->options.policy == Policy::leastconn) described["held"] = load.held;
}

/// Without its channel a worker gets nothing. One that dies is not to be taken for it: its channel ends a moment
/// before.
void Supervisor::find_mute() {
  if (!dispatcher_) return;
  for (const auto& [id, worker] : processes_.all())
    if (!worker->channel_end && worker->is_ready && !worker->child.has_ended())
      condemn(*worker, "has closed its channel");
}

}  // namespace baton
