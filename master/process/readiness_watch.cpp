// Master. The tasks that wait for a worker's signs.
#include "master/process/readiness_watch.hpp"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <string_view>
#include <utility>

#include "master/process/accept_probe.hpp"
#include "master/process/readiness.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

ReadinessSigns signs_of(const WorkerHandle& worker) {
  ReadinessSigns signs;
  signs.said_hello = worker.shown.said_hello;
  signs.said_ready = worker.shown.said_ready;
  signs.notified_ready = worker.shown.notified_ready;
  signs.accepts = worker.shown.accepts;
  signs.owes_answer = worker.pending.probe || !worker.pending.listeners.empty();
  if (worker.cluster) signs.listens = worker.cluster->listens;
  return signs;
}

}  // namespace

void announce_if_ready(WorkerHandle& worker, WorkerObserver& observer) {
  if (worker.is_ready) return;
  worker.is_ready = is_ready(worker.generation->options.ready, signs_of(worker));
  if (worker.is_ready) observer.on_ready(worker);
}

void ReadinessWatch::watch(const Handle& worker) {
  if (worker->notify_end) start_task(executor_, follow_notifications(worker));
  if (worker->ack_end) start_task(executor_, follow_acknowledgements(worker));
  if (worker->generation->options.ready == Readiness::accepts) start_task(executor_, await_accepting(worker));
}

asio::awaitable<void> ReadinessWatch::follow_notifications(Handle worker) {
  constexpr std::string_view reloading = "reloads";
  while (worker->notify_end) {
    const bool readable = co_await worker->notify_end->watch.readable();
    if (!readable || !worker->notify_end) break;
    Notification notification = worker->notify_end->notify_socket.receive(worker->child.pid());
    if (notification.reloading) worker->status = reloading;
    if (notification.ready && worker->status == reloading) worker->status.clear();
    if (notification.status) worker->status = std::move(*notification.status);
    if (notification.alive || notification.ready) worker->last_sign = std::chrono::steady_clock::now();
    worker->shown.notified_ready = worker->shown.notified_ready || notification.ready;
    if (notification.ready) announce_if_ready(*worker, observer_);
    if (notification.stopping) observer_.on_wants_to_retire(*worker, "says that it stops");
    if (notification.hung) observer_.on_hung(*worker, "says that it hangs");
  }
}

asio::awaitable<void> ReadinessWatch::follow_acknowledgements(Handle worker) {
  while (worker->ack_end) {
    const bool readable = co_await worker->ack_end->watch.readable();
    if (!readable || !worker->ack_end) break;
    const AckSocket::Received received = worker->ack_end->acks.receive();
    if (received.acknowledgement) {
      worker->shown.said_ready = true;
      announce_if_ready(*worker, observer_);
    }
    if (!received.is_exhausted) continue;
    asio::steady_timer pause(executor_, 100ms);  // the kernel would tell of the same connection again at once
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

/// Nothing tells of it but a look; a program that says so itself is quicker.
asio::awaitable<void> ReadinessWatch::await_accepting(Handle worker) {
  constexpr auto longest = 50ms;
  asio::steady_timer pause(executor_);
  for (std::chrono::milliseconds time = 2ms; !worker->is_ready && !worker->is_gone;
       time = std::min<std::chrono::milliseconds>(time * 2, longest)) {
    boost::system::error_code ignored;
    pause.expires_after(time);
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (worker->is_ready || worker->is_gone) break;
    worker->shown.accepts = awaits_connections(worker->child.pid(), worker->listener_inodes) != Awaiting::no;
    if (worker->shown.accepts) announce_if_ready(*worker, observer_);
  }
}

}  // namespace baton
