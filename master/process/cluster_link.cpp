// Master. Answers until they have arrived, and how a worker of Node's cluster is asked to leave: by a message, not a
// signal.
#include "master/process/cluster_link.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <system_error>
#include <utility>

#include "common/cluster_messages.hpp"
#include "common/log.hpp"
#include "master/process/readiness_watch.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using protocol::Kind;

namespace {

// A worker that does not read must not have the master hold a descriptor for each of its questions.
constexpr std::size_t most_unconfirmed = 64;

}  // namespace

bool ClusterLink::may_answer(const WorkerHandle& worker) {
  return worker.cluster->unconfirmed.size() < most_unconfirmed;
}

void ClusterLink::answer(WorkerHandle& worker, std::string line, const std::shared_ptr<Vault>& vault) {
  if (!vault) return writer_.send(worker, line);
  Fd copy = vault->copy();
  writer_.send(worker, line, std::move(copy));
  worker.cluster->unconfirmed.push_back({std::move(line), vault});
}

void ClusterLink::note_listening(WorkerHandle& worker, bool listens) {
  worker.cluster->listens = listens;
  announce_if_ready(worker, observer_);
}

/// Node tries three times, too.
bool ClusterLink::hear_answer(WorkerHandle& worker, Kind kind) {
  constexpr unsigned most_losses = 3;
  ClusterState& state = *worker.cluster;
  if (state.unconfirmed.empty()) return false;
  ClusterState::Unconfirmed first = std::move(state.unconfirmed.front());
  state.unconfirmed.pop_front();
  if (kind == Kind::handle_ack) return true;
  try {
    if (++state.losses < most_losses) {
      answer(worker, std::move(first.line), first.vault);
      return true;
    }
    log::error("{} could not receive a listener, and is stopped (is its limit of open files too low?)", worker.name());
  } catch (const std::system_error& error) {
    log::error("{} asks for its listener again, and there is none to give: {}", worker.name(), error.what());
  }
  worker.child.signal(SIGTERM);
  return true;
}

/// Node's workers die by TERM in the middle of their answers. By the message they close their listeners, and they end
/// their channel when the last connection has ended.
void ClusterLink::dismiss(WorkerHandle& worker) {
  ClusterState& state = *worker.cluster;
  const ProcessSettings& settings = worker.generation->options.process;
  const bool has_signal = settings.stop_signal || settings.reload_signal;
  if (has_signal || !state.is_online || !worker.channel_end) return worker.child.signal(worker.stop_signal);
  if (std::exchange(state.is_leaving, true)) return;
  writer_.send(worker, protocol::disconnect_line(++state.last_seq));
}

void ClusterLink::on_channel_end(const std::shared_ptr<WorkerHandle>& worker) {
  if (worker->cluster && worker->cluster->is_leaving) start_task(executor_, see_off(worker));
}

void ClusterLink::on_exit(WorkerHandle& worker) {
  if (worker.cluster && worker.cluster->patience) worker.cluster->patience->cancel();
}

/// A worker that leaves has nothing left to answer once its channel has ended. What keeps its process alive is a
/// database's connection or a timer; it gets a moment to end by itself.
asio::awaitable<void> ClusterLink::see_off(std::shared_ptr<WorkerHandle> worker) {
  const auto patience = std::make_shared<asio::steady_timer>(executor_, 1s);
  worker->cluster->patience = patience;
  boost::system::error_code ignored;
  co_await patience->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (!worker->is_gone) worker->child.signal(SIGTERM);
}

}  // namespace baton
