// Master. Between the workers' records and the dispatcher.
#include "master/dispatch/connection_handing.hpp"

#include "common/log.hpp"
#include "master/system/open_files.hpp"

namespace baton {
namespace {

std::vector<std::shared_ptr<Vault>> vaults(const std::vector<std::shared_ptr<ListenerGroup>>& groups) {
  std::vector<std::shared_ptr<Vault>> all;
  for (const auto& group : groups)
    for (const auto& [place, vault] : group->vaults()) all.push_back(vault);
  return all;
}

Dispatcher::Key key_of(const WorkerHandle& worker) {
  return {worker.number, worker.id};
}

void tell_taken_back(const WorkerHandle& worker, std::size_t count) {
  if (count > 0) log::debug("{}: {} connections that it had not acknowledged go to others", worker.name(), count);
}

}  // namespace

void ConnectionHanding::start(Policy policy) {
  if (!hands_connections(policy)) return;
  policy_ = policy;
  dispatcher_ = std::make_unique<Dispatcher>(executor_, policy);
}

void ConnectionHanding::open(const Groups& groups) {
  if (!dispatcher_) return;
  for (const auto& vault : vaults(groups)) {
    if (vault->is_empty() || !vault->is_listening()) continue;
    try {
      dispatcher_->open(vault);
    } catch (const std::system_error& error) {  // the next event tries again
      log::error("can't accept on {}: {}", vault->address(), error.what());
    }
  }
}

void ConnectionHanding::begin(const WorkerHandle& worker) {
  if (!dispatcher_) return;
  const auto send = [this, id = worker.id](std::string_view line, std::span<const int> handles) {
    return processes_.send_now(id, line, handles);
  };
  if (worker.cluster)
    return dispatcher_->add_cluster(key_of(worker), send, [pid = worker.child.pid()] { return open_files_of(pid); });
  std::vector<const Vault*> served;
  for (const auto& vault : vaults(worker.generation->listeners)) served.push_back(vault.get());
  dispatcher_->add(key_of(worker), served, worker.takes_many, send);
}

void ConnectionHanding::serve(const WorkerHandle& worker, const Vault& vault, std::string_view name_there) {
  if (dispatcher_) dispatcher_->serve(key_of(worker), vault, name_there);
}

void ConnectionHanding::forgo(const WorkerHandle& worker, const Vault& vault) {
  if (dispatcher_) dispatcher_->forgo(key_of(worker), vault);
}

void ConnectionHanding::retire(const WorkerHandle& worker, const std::function<void()>& then) {
  if (!dispatcher_) return then();
  dispatcher_->retire(key_of(worker), then);
}

void ConnectionHanding::remove(const WorkerHandle& ended) {
  if (dispatcher_) tell_taken_back(ended, dispatcher_->remove(key_of(ended)));
}

void ConnectionHanding::disconnect(const WorkerHandle& worker) {
  if (dispatcher_) tell_taken_back(worker, dispatcher_->disconnect(key_of(worker)));
}

bool ConnectionHanding::on_answer(const WorkerHandle& worker, const protocol::Message& message) {
  return dispatcher_ && dispatcher_->hear(key_of(worker), message);
}

void ConnectionHanding::on_writable(const WorkerHandle& worker) {
  if (dispatcher_) dispatcher_->on_writable(key_of(worker));
}

void ConnectionHanding::describe(const WorkerHandle& worker, boost::json::object& described) const {
  if (!dispatcher_) return;
  const Dispatcher::Load load = dispatcher_->load(key_of(worker));
  described["in_flight"] = load.in_flight;
  if (policy_ == Policy::leastconn) described["held"] = load.held;
}

}  // namespace baton
