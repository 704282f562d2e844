// Master. The supervisor's side of Node's cluster: what its workers ask and say, act by act, and which of the listeners
// that they have asked for are kept.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/cluster_messages.hpp"
#include "common/error.hpp"
#include "common/log.hpp"
#include "master/supervisor/supervisor.hpp"
#include "master/system/open_files.hpp"

namespace baton {

using namespace std::chrono_literals;
using protocol::Query;

namespace {

// A worker that asks again and again for what it can't have must not fill the log.
constexpr unsigned most_refusals_told = 16;

/// What the program's server.address() says. Where --listen gave it another port than it asked for, it is the one that
/// it asked for: Node takes any other for somebody else's.
std::optional<protocol::SocketName> socket_name(const Query& query, const std::string& address) {
  if (address.starts_with("unix:")) return std::nullopt;
  const TcpAddress bound = std::get<TcpAddress>(parse_address(address, 0));
  const std::string host = bound.host ? bound.host->to_string() : "::";
  return protocol::SocketName{host, !bound.host || bound.host->is_v6(),
                              query.port > 0 ? query.port : bound.ports.first};
}

}  // namespace

/// All on which clients can be waiting for the wanted configuration: its own, and what programs have asked for.
std::vector<std::shared_ptr<ListenerGroup>> Supervisor::listeners() const {
  std::vector<std::shared_ptr<ListenerGroup>> all = generation_->listeners;
  all.insert(all.end(), cluster_listeners_.groups().begin(), cluster_listeners_.groups().end());
  return all;
}

/// What programs have asked for is there before they ask again, so that clients wait. What can't be had any more is
/// given up: whoever asks for it again is told why.
void Supervisor::prepare_asked(unsigned slot) {
  const std::vector<std::shared_ptr<ListenerGroup>> asked = cluster_listeners_.groups();
  for (const auto& group : asked) {
    try {
      group->prepare(slot, generation_->options.backlog, pool_.breaker_is_open());
    } catch (const std::runtime_error& error) {  // StartError, std::system_error
      log::warning("{}; it is given up until a worker asks for it", error.what());
      cluster_listeners_.drop(group);
    }
  }
}

void Supervisor::on_cluster(WorkerHandle& worker, const protocol::Message& message) {
  ClusterTalk& talk = *worker.cluster;
  const boost::json::object& said = message.value.get_object();
  if (message.detail == "online") {
    talk.is_online = true;
  } else if (message.detail == "queryServer") {
    on_question(worker, said);
  } else if (message.detail == "listening") {
    on_listening(worker, said);
  } else if (message.detail == "close") {
    on_close(worker, protocol::key_of(said));
  } else if (message.detail == "exitedAfterDisconnect") {
    on_leave(worker, said);
  } else {
    log::debug("{}: a cluster message that means nothing is ignored", worker.name());
  }
}

void Supervisor::on_question(WorkerHandle& worker, const boost::json::object& said) {
  ClusterTalk& talk = *worker.cluster;
  talk.is_online = true;
  const auto query = protocol::decode_query(said);
  // Node, too, answers nobody who is leaving.
  if (!query || talk.is_leaving || stopping_) return;
  ClusterListeners::Answer found;
  try {
    if (!ProcessTable::may_answer(worker)) {
      found = {EAGAIN, "more while it has not taken what it was given", nullptr, {}, {}, false};
    } else {
      found = cluster_listeners_.ask({worker.id, worker.number, *worker.generation}, *query, pool_.breaker_is_open());
    }
    if (found.error == 0) return give(worker, *query, found);
  } catch (const std::system_error& error) {  // out of descriptors
    if (!found.key.empty()) cluster_listeners_.close(worker.id, found.key);
    found.error = error.code().value();
    found.remark = error.what();
  }
  if (++talk.refusals <= most_refusals_told)
    log::warning("{} asks for a listener, in vain: {}{}", worker.name(), found.remark,
                 talk.refusals == most_refusals_told ? "; more of this is not told" : "");
  processes_.answer(worker, protocol::refusal_answer(*query, found.error, ++talk.last_seq));
}

void Supervisor::give(WorkerHandle& worker, const Query& query, const ClusterListeners::Answer& found) {
  ClusterTalk& talk = *worker.cluster;
  const std::string& address = found.vault->address();
  if (dispatcher_) {
    processes_.answer(
        worker, protocol::promise_answer(query, found.key, found.data, socket_name(query, address), ++talk.last_seq));
    if (worker.is_ready) dispatcher_->serve(key_of(worker), *found.vault, found.key);
  } else {
    processes_.answer(worker, protocol::listener_answer(query, found.key, found.data, ++talk.last_seq), found.vault);
  }
  talk.listens = false;
  if (!found.remark.empty()) log::warning("{}: {}", worker.name(), found.remark);
  if (!found.is_new) return;
  const std::string message = fmt::format("listening on {}, for which {} asks", address, worker.name());
  log::info("{}", message);
  tell("listener_opened", message, {{"address", address}});
  open_gates();
}

/// Node has called listen(2) on it, with a number of its own.
void Supervisor::on_listening(WorkerHandle& worker, const boost::json::object& said) {
  const auto query = protocol::decode_query(said);
  const std::shared_ptr<Vault> vault = query ? cluster_listeners_.listened(worker.id, *query) : nullptr;
  if (!vault) return;
  try {
    if (vault->is_listening()) vault->listen(generation_->options.backlog);
  } catch (const std::system_error& error) {  // out of descriptors; the next look around tries again
    log::error("{}: the backlog of its listener stays: {}", worker.name(), error.what());
  }
  processes_.note_listening(worker, cluster_listeners_.listens(worker.id));
}

void Supervisor::on_close(WorkerHandle& worker, std::string_view key) {
  const std::shared_ptr<Vault> vault = cluster_listeners_.close(worker.id, key);
  if (!vault) return;
  if (dispatcher_ && worker.is_ready) serve_or_forgo(worker, *vault);
  // What is left may all be listened on.
  if (!worker.is_ready) processes_.note_listening(worker, cluster_listeners_.listens(worker.id));
}

/// Two servers of one program can be on one listener of --listen.
void Supervisor::serve_or_forgo(const WorkerHandle& worker, const Vault& vault) {
  for (const ClusterListeners::Holding& each : cluster_listeners_.holdings(worker.id))
    if (each.vault.get() == &vault) return dispatcher_->serve(key_of(worker), vault, each.key);
  dispatcher_->forgo(key_of(worker), vault);
}

/// cluster.worker.disconnect(): it has finished what it was answering, and waits for our word.
void Supervisor::on_leave(WorkerHandle& worker, const boost::json::object& said) {
  ClusterTalk& talk = *worker.cluster;
  const auto seq = protocol::seq_of(said);
  if (!seq) return;
  processes_.answer(worker, protocol::acknowledgement(*seq, ++talk.last_seq));
  const Member& member = pool_.members().at(worker.id);
  const bool was_leaving = std::exchange(talk.is_leaving, true);
  if (was_leaving || member.life.state() != State::ready) return;
  const TimePoint at = std::chrono::steady_clock::now();
  const bool is_early = at - member.ready_since < least_service;
  if (is_early) pool_.condemn_for_fault(worker.id, at);
  static_cast<void>(pool_.apply(worker.id, Event::retire, at));
  if (dispatcher_) dispatcher_->retire(key_of(worker), [] {});
  const std::string message = fmt::format("{} leaves by itself and is replaced", worker.name());
  log::info("{}", message);
  tell("worker_draining", worker, message);
  advance();
}

bool Supervisor::holds(const WorkerHandle& worker, const Vault& vault) const {
  if (worker.cluster) return cluster_listeners_.holds(worker.id, vault);
  return worker.holds_by_right(vault) || worker.borrowed.contains(vault.cookie());
}

/// Nobody asks for it any more: a new version of the program has another port, or closed this one.
void Supervisor::give_up_listeners(TimePoint at) {
  const bool is_settled = !pool_.is_reloading() && !pool_.breaker_is_open() && !waits_for_name_ && pool_.target() > 0 &&
                          pool_.ready() == pool_.target();
  for (const auto& group : cluster_listeners_.give_up(at, is_settled)) {
    const std::string message = fmt::format("no longer listening on {}: no worker asks for it", group->address());
    log::info("{}", message);
    tell("listener_closed", message, {{"address", group->address()}});
  }
}

}  // namespace baton
