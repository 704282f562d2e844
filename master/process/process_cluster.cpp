// Master. The staff's side of Node's cluster: answers with a listener, until they have come; and how such a worker is
// asked to leave, which is a message and not a signal.
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <memory>
#include <utility>

#include "common/cluster_messages.hpp"
#include "common/log.hpp"
#include "master/process/process_table.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using protocol::Kind;

namespace {

// A worker that does not read must not have the master hold a descriptor for each of its questions.
constexpr std::size_t most_unconfirmed = 64;

}  // namespace

bool ProcessTable::may_answer(const WorkerHandle& worker) {
  return worker.cluster->unconfirmed.size() < most_unconfirmed;
}

void ProcessTable::answer(WorkerHandle& worker, std::string line, const std::shared_ptr<Vault>& vault) {
  if (!vault) return send(worker, line);
  Fd copy = vault->copy();
  send(worker, line, std::move(copy));
  worker.cluster->unconfirmed.push_back({std::move(line), vault});
}

void ProcessTable::note_listening(WorkerHandle& worker, bool listens) {
  worker.cluster->listens = listens;
  tell_if_ready(worker);
}

/// False: nobody asked. Node tries three times, too.
bool ProcessTable::hear_confirmation(WorkerHandle& worker, const protocol::Message& message) {
  constexpr unsigned most_losses = 3;
  ClusterTalk& talk = *worker.cluster;
  if (talk.unconfirmed.empty()) return false;
  ClusterTalk::Unconfirmed first = std::move(talk.unconfirmed.front());
  talk.unconfirmed.pop_front();
  if (message.kind == Kind::handle_ack) return true;
  try {
    if (++talk.losses < most_losses) {
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

/// Node's workers die by TERM in the middle of their answers. By this message they close their listeners and end their
/// channel when the last connection has ended. Unless the user knows a signal that the program goes by.
void ProcessTable::dismiss(WorkerHandle& worker) {
  ClusterTalk& talk = *worker.cluster;
  const ProcessSettings& settings = worker.generation->options.process;
  const bool has_signal = settings.stop_signal || settings.reload_signal;
  if (has_signal || !talk.is_online || !worker.channel_end) return worker.child.signal(worker.stop_signal);
  if (std::exchange(talk.is_leaving, true)) return;
  send(worker, protocol::disconnect_line(++talk.last_seq));
}

/// Such a worker has nothing left to answer once its channel has ended. What keeps its process alive is a database's
/// connection or a timer; it gets a moment to end by itself.
asio::awaitable<void> ProcessTable::see_off(Handle worker) {
  const auto patience = std::make_shared<asio::steady_timer>(executor_, 1s);
  worker->cluster->patience = patience;
  boost::system::error_code ignored;
  co_await patience->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (workers_.contains(worker->id)) worker->child.signal(SIGTERM);
}

}  // namespace baton
