// Master. Node's cluster, as its primary would answer.
#include "master/cluster/cluster_primary.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "common/cluster_messages.hpp"
#include "common/error.hpp"
#include "common/log.hpp"
#include "master/process/worker_event.hpp"

namespace baton {

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

void ClusterPrimary::on_message(WorkerHandle& worker, const protocol::Message& message) {
  const boost::json::object& said = message.value.get_object();
  if (message.detail == "online") {
    worker.cluster->is_online = true;
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

void ClusterPrimary::on_question(WorkerHandle& worker, const boost::json::object& said) {
  ClusterState& state = *worker.cluster;
  state.is_online = true;
  const auto query = protocol::decode_query(said);
  // Node, too, answers nobody who is leaving.
  if (!query || state.is_leaving || parts_.pool.is_stopping()) return;
  ClusterListeners::Answer found;
  try {
    if (!ProcessTable::may_answer(worker)) {
      found = {EAGAIN, "more while it has not taken what it was given", nullptr, {}, {}, false};
    } else {
      found =
          parts_.listeners.ask({worker.id, worker.number, *worker.generation}, *query, parts_.pool.breaker_is_open());
    }
    if (found.error == 0) return give(worker, *query, found);
  } catch (const std::system_error& error) {  // out of descriptors
    if (!found.key.empty()) parts_.listeners.close(worker.id, found.key);
    found.error = error.code().value();
    found.remark = error.what();
  }
  if (++state.refusals <= most_refusals_told)
    log::warning("{} asks for a listener, in vain: {}{}", worker.name(), found.remark,
                 state.refusals == most_refusals_told ? "; more of this is not told" : "");
  parts_.processes.answer(worker, protocol::refusal_answer(*query, found.error, ++state.last_seq));
}

void ClusterPrimary::give(WorkerHandle& worker, const Query& query, const ClusterListeners::Answer& found) {
  ClusterState& state = *worker.cluster;
  const std::string& address = found.vault->address();
  if (parts_.handing.is_active()) {
    parts_.processes.answer(
        worker, protocol::promise_answer(query, found.key, found.data, socket_name(query, address), ++state.last_seq));
    if (worker.is_ready) parts_.handing.serve(worker, *found.vault, found.key);
  } else {
    parts_.processes.answer(worker, protocol::listener_answer(query, found.key, found.data, ++state.last_seq),
                            found.vault);
  }
  state.listens = false;
  if (!found.remark.empty()) log::warning("{}: {}", worker.name(), found.remark);
  if (found.is_new) tell_opened(worker, address);
}

void ClusterPrimary::tell_opened(const WorkerHandle& worker, const std::string& address) {
  const std::string message = fmt::format("listening on {}, for which {} asks", address, worker.name());
  log::info("{}", message);
  parts_.events.tell("listener_opened", message, {{"address", address}});
  parts_.handing.open(parts_.listeners.groups());
}

/// Node has called listen(2) on it, with a number of its own.
void ClusterPrimary::on_listening(WorkerHandle& worker, const boost::json::object& said) {
  const auto query = protocol::decode_query(said);
  const std::shared_ptr<Vault> vault = query ? parts_.listeners.listened(worker.id, *query) : nullptr;
  if (!vault) return;
  try {
    if (vault->is_listening()) vault->listen(parts_.generations.options().backlog);
  } catch (const std::system_error& error) {  // out of descriptors; the next look around tries again
    log::error("{}: the backlog of its listener stays: {}", worker.name(), error.what());
  }
  parts_.processes.note_listening(worker, parts_.listeners.listens(worker.id));
}

void ClusterPrimary::on_close(WorkerHandle& worker, std::string_view key) {
  const std::shared_ptr<Vault> vault = parts_.listeners.close(worker.id, key);
  if (!vault) return;
  if (worker.is_ready) return serve_or_forgo(worker, *vault);
  // What is left may all be listened on.
  parts_.processes.note_listening(worker, parts_.listeners.listens(worker.id));
}

/// Two servers of one program can be on one listener of --listen.
void ClusterPrimary::serve_or_forgo(const WorkerHandle& worker, const Vault& vault) {
  for (const ClusterListeners::Holding& each : parts_.listeners.holdings(worker.id))
    if (each.vault.get() == &vault) return parts_.handing.serve(worker, vault, each.key);
  parts_.handing.forgo(worker, vault);
}

void ClusterPrimary::serve_held(const WorkerHandle& worker) {
  for (const ClusterListeners::Holding& each : parts_.listeners.holdings(worker.id))
    parts_.handing.serve(worker, *each.vault, each.key);
}

/// cluster.worker.disconnect(): it has finished what it was answering, and waits for our word.
void ClusterPrimary::on_leave(WorkerHandle& worker, const boost::json::object& said) {
  ClusterState& state = *worker.cluster;
  const auto seq = protocol::seq_of(said);
  if (!seq) return;
  parts_.processes.answer(worker, protocol::acknowledgement(*seq, ++state.last_seq));
  const bool was_leaving = std::exchange(state.is_leaving, true);
  if (was_leaving || parts_.pool.state(worker.id) != State::ready) return;
  const TimePoint now = std::chrono::steady_clock::now();
  if (parts_.pool.is_early(worker.id, now)) parts_.pool.condemn_for_fault(worker.id, now);
  static_cast<void>(parts_.pool.apply(worker.id, Event::retire, now));
  parts_.handing.retire(worker, [] {});
  const std::string message = fmt::format("{} leaves by itself and is replaced", worker.name());
  log::info("{}", message);
  tell(parts_.events, "worker_draining", worker, message);
  on_leave_();
}

void ClusterPrimary::give_up_listeners(TimePoint now, bool is_quiet) {
  for (const auto& group : parts_.listeners.give_up(now, is_quiet)) {
    const std::string message = fmt::format("no longer listening on {}: no worker asks for it", group->address());
    log::info("{}", message);
    parts_.events.tell("listener_closed", message, {{"address", group->address()}});
  }
}

}  // namespace baton
