// Doctor. The first checks: taking the listener, getting ready, answering.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "master/doctor/examination.hpp"
#include "master/doctor/probe_client.hpp"
#include "master/doctor/processes.hpp"

namespace baton::doctor {
namespace {

namespace asio = boost::asio;

std::string sign_of(Readiness ready) {
  switch (ready) {
    case Readiness::message:
      return "it said \"ready\" on its channel";
    case Readiness::handle:
      return "it took the listener";
    case Readiness::notify:
      return "READY=1 came to NOTIFY_SOCKET";
    case Readiness::accepts:
      break;
  }
  return "it waits for connections, or said READY=1";
}

std::string way_to_get_ready(Readiness ready) {
  switch (ready) {
    case Readiness::message:
      return "process.send('ready') once it serves; or --ready with another sign";
    case Readiness::handle:
      return "take the handle of the message (node-cluster: call listen()); or --ready with another sign";
    case Readiness::notify:
      return "send READY=1 to the socket in NOTIFY_SOCKET once it serves (sd_notify); or --ready accepts";
    case Readiness::accepts:
      break;
  }
  return "accept, poll or epoll the listener that it was given; if it takes longer to start, --ready-timeout";
}

double milliseconds(std::chrono::microseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

}  // namespace

std::string way_to_listen(Dialect dialect) {
  switch (dialect) {
    case Dialect::channel:
      return "keep the handle that comes with the message \"server\" open, and listen on it";
    case Dialect::node_cluster:
      return "call listen() on a TCP port, and don't close the server";
    case Dialect::listen_fds:
      return "serve on descriptor 3 (LISTEN_FDS), or on {fd} in its arguments, and keep it open";
    case Dialect::einhorn:
      return "serve on the descriptor in EINHORN_FD_0, and keep it open";
    case Dialect::server_starter:
      break;
  }
  return "serve on the descriptor in SERVER_STARTER_PORT, and keep it open";
}

/// Both workers, within the time that they have; a second start that fails is not waited for.
asio::awaitable<Examination::Start> Examination::become_ready() {
  const auto are_ready = [this] { return trial_.count_lines("worker ", " ready") >= 2; };
  const auto have_ended = [this] { return trial_.has_ended() || trial_.count_lines("worker ", "starts in 0.1 s") > 0; };
  co_await trial_.wait_for([&] { return are_ready() || have_ended(); }, from_now(plan_.options.ready_timeout));
  if (are_ready()) co_return Start::ready;
  co_return have_ended() ? Start::ended : Start::late;
}

asio::awaitable<void> Examination::check_listener() {
  begin(Check::ready);
  const auto began = std::chrono::steady_clock::now();
  const Options& options = plan_.options;
  const Start start = co_await become_ready();
  const auto took = since(began);
  const std::string words = trial_.last_words(3);
  if (start == Start::ended) {
    reason_ = "it ended before it was ready";
    find(Check::ready, Verdict::failed, fmt::format("it ended before it was ready: {}", words),
         "run it by itself, and see why it ends; it has to stay in the foreground");
    co_return;
  }
  workers_ = co_await trial_.workers();
  families_ = families_of(workers_);
  judge_listener(start == Start::ready);
  if (start == Start::ready) {
    find(Check::ready, Verdict::ok, fmt::format("within {} ms: {}", took.count(), sign_of(options.ready)));
    if (has_failed(Check::listener)) reason_ = "a worker does not hold the listener";
    co_return;
  }
  reason_ = "it did not get ready";
  // One cause, one finding.
  if (has_failed(Check::listener))
    find(Check::ready, Verdict::skipped, "it has no listener to be ready with");
  else
    find(Check::ready, Verdict::failed,
         fmt::format("not within {} ms (--ready-timeout){}{}", options.ready_timeout.count(),
                     words.empty() ? "" : "; last words: ", words),
         way_to_get_ready(options.ready));
}

/// How many workers hold the listener, be it by one that they have started.
std::size_t Examination::holders() const {
  const auto inodes = listening_inodes(trial_.place().port());
  return static_cast<std::size_t>(std::count_if(workers_.begin(), workers_.end(), [&](const SeenWorker& each) {
    return holds_any(family_of(each.pid), inodes);
  }));
}

void Examination::judge_listener(bool is_ready) {
  const Options& options = plan_.options;
  const std::size_t holding = holders();
  const std::string seen = fmt::format("{} of {} workers hold it", holding, workers_.size());
  if (hands_connections(options.policy))
    find(Check::listener, Verdict::skipped, fmt::format("under {} baton accepts", name(options.policy)));
  else if (holding == workers_.size())
    find(Check::listener, Verdict::ok, seen);
  else if (is_ready || options.ready == Readiness::accepts || options.ready == Readiness::handle)
    find(Check::listener, Verdict::failed, seen, way_to_listen(options.dialect));
}

asio::awaitable<void> Examination::check_answers() {
  begin(Check::answers);
  ProbeClient client(executor_, trial_.place(), plan_.path);
  const Probe probe = co_await client.ask(false);
  answer_took_ = probe.took;
  if (probe.result == ProbeResult::answered)
    co_return find(Check::answers, Verdict::ok,
                   fmt::format("HTTP {} for {} in {:.1f} ms", probe.status, plan_.path, milliseconds(probe.took)));
  // What ends a connection in order has read from it, or did not want to.
  is_http_ = false;
  if (probe.result == ProbeResult::foreign || probe.result == ProbeResult::cut_off)
    co_return find(Check::answers, Verdict::ok,
                   "takes a connection, and is no HTTP server: below, a connection that is not reset is an answer");
  reason_ = "it does not answer";
  const std::string_view what = probe.result == ProbeResult::reset     ? "the connection was reset"
                                : probe.result == ProbeResult::refused ? "the connection was refused"
                                                                       : "no answer came within 5 s";
  find(Check::answers, Verdict::failed, fmt::format("{}; last words: {}", what, trial_.last_words(3)),
       "accept from the listener that it was given, and answer GET with HTTP (--path names another path)");
}

}  // namespace baton::doctor
