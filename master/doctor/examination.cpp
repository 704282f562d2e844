// Doctor. The first half of a life: taking the listener, getting ready, answering.
#include "master/doctor/examination.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/error.hpp"
#include "master/doctor/load.hpp"
#include "master/doctor/probe_client.hpp"
#include "master/doctor/processes.hpp"

namespace baton::doctor {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

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

double milliseconds(std::chrono::microseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

/// What there is more of than before, the most first: "200 × socket".
std::string growth_text(const Descriptors& before, const Descriptors& after) {
  std::vector<std::pair<std::size_t, std::string>> grown;
  for (const auto& [kind, count] : after) {
    const auto found = before.find(kind);
    const std::size_t had = found == before.end() ? 0 : found->second;
    if (count > had) grown.emplace_back(count - had, kind);
  }
  std::sort(grown.rbegin(), grown.rend());
  std::string text;
  constexpr std::size_t shown = 3;
  for (std::size_t i = 0; i < std::min(shown, grown.size()); ++i)
    text += fmt::format("{}{} × {}", i == 0 ? "" : ", ", grown.at(i).first, grown.at(i).second);
  return text;
}

}  // namespace

Examination::Examination(const asio::any_io_executor& executor, const Plan& plan)
    : executor_(executor), plan_(plan), trial_(executor, plan) {}

asio::awaitable<void> Examination::run() {
  co_await trial_.wait_until_it_listens();
  try {
    co_await check_all();
  } catch (const std::exception& error) {  // StartError: the master does not answer any more
    reason_ = error.what();
    if (current_)
      find(*current_, Verdict::failed, reason_,
           "see what baton says when it runs the command: " + trial_.last_words(1));
  }
}

asio::awaitable<void> Examination::check_all() {
  co_await check_listener();
  if (reason_.empty()) co_await check_answers();
  if (reason_.empty()) co_await check_shares();
  if (reason_.empty()) co_await check_descriptors();
  if (reason_.empty()) co_await check_drains();
  if (reason_.empty()) co_await check_end();
  if (reason_.empty()) co_await check_channel();
}

void Examination::find(Check check, Verdict verdict, std::string seen, std::string way_out) {
  findings_.push_back({check, verdict, std::move(seen), std::move(way_out)});
  if (current_ == check) current_.reset();
}

Load::Way Examination::way(std::size_t clients) const {
  return {trial_.place(), plan_.path, is_http_, patience_among(clients, answer_took_), {}};
}

bool Examination::is_found(Check check) const {
  return std::any_of(findings_.begin(), findings_.end(), [check](const Finding& each) { return each.check == check; });
}

bool Examination::has_verdict(Check check, Verdict verdict) const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [=](const Finding& each) { return each.check == check && each.verdict == verdict; });
}

Report Examination::report() const {
  const Options& options = plan_.options;
  Report report{options.command, std::string(name(options.dialect)), options.dialect_reason, findings_};
  for (std::size_t i = 0; i < check_count; ++i) {
    const auto check = static_cast<Check>(i);
    if (is_found(check)) continue;
    if (current_ == check)
      report.findings.push_back({check, Verdict::failed, "did not come to an end in the time for all of it",
                                 "--timeout gives it more, if it is only slow"});
    else
      report.findings.push_back(
          {check, Verdict::skipped, reason_.empty() ? "the time for all of it was over (--timeout)" : reason_, ""});
  }
  std::sort(report.findings.begin(), report.findings.end(),
            [](const Finding& a, const Finding& b) { return a.check < b.check; });
  return report;
}

/// Until there are so many, ready, and none besides, which may yet be finishing.
asio::awaitable<void> Examination::settle(std::size_t count, TimePoint end) {
  for (bool is_settled = false; !is_settled && std::chrono::steady_clock::now() < end;) {
    workers_ = co_await trial_.workers();
    is_settled = workers_.size() == count && std::all_of(workers_.begin(), workers_.end(),
                                                         [](const SeenWorker& each) { return each.state == "ready"; });
    if (!is_settled) co_await trial_.pause(from_now(10ms));
  }
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
  if (probe.fate == Fate::answered)
    co_return find(Check::answers, Verdict::ok,
                   fmt::format("HTTP {} for {} in {:.1f} ms", probe.status, plan_.path, milliseconds(probe.took)));
  // What ends a connection in order has read from it, or did not want to.
  is_http_ = false;
  if (probe.fate == Fate::foreign || probe.fate == Fate::cut_off)
    co_return find(Check::answers, Verdict::ok,
                   "takes a connection, and is no HTTP server: below, a connection that is not reset is an answer");
  reason_ = "it does not answer";
  const std::string_view what = probe.fate == Fate::reset     ? "the connection was reset"
                                : probe.fate == Fate::refused ? "the connection was refused"
                                                              : "no answer came within 5 s";
  find(Check::answers, Verdict::failed, fmt::format("{}; last words: {}", what, trial_.last_words(3)),
       "accept from the listener that it was given, and answer GET with HTTP (--path names another path)");
}

/// Which worker has accepted its connection. Nothing: none has, within a moment.
asio::awaitable<std::optional<std::size_t>> Examination::owner_of(ProbeClient& client) {
  std::optional<std::size_t> owner;
  const auto is_found = [this, &client, &owner] {
    const auto inode = client.accepted_inode();
    for (std::size_t i = 0; inode && !owner && i < workers_.size(); ++i)
      if (holds_any(family_of(workers_.at(i).pid), {*inode})) owner = i;  // it may have started others since
    return owner.has_value();
  };
  co_await trial_.wait_for(is_found, from_now(300ms));
  co_return owner;
}

/// That no worker has ended, and none has closed the listener. What else was seen is explained by it, so that it is
/// found in that check, and nothing more is looked at.
asio::awaitable<bool> Examination::are_all_there(Check check) {
  const Options& options = plan_.options;
  if (first_ended(families_) != nullptr) {
    const auto is_told = [this] { return trial_.last_words(3).find("a new one starts") != std::string::npos; };
    co_await trial_.wait_for(is_told, from_now(1s));
    reason_ = "a worker ended while it was asked";
    find(check, Verdict::failed, fmt::format("{}: {}", reason_, trial_.last_words(3)),
         "see why it ends: a worker answers until it gets TERM");
  } else if (const std::size_t holding = holders(); !hands_connections(options.policy) && holding < workers_.size()) {
    reason_ = "a worker has closed the listener";
    find(check, Verdict::failed, fmt::format("{}: {} of {} workers hold it now", reason_, holding, workers_.size()),
         way_to_listen(options.dialect));
  }
  const bool are_there = reason_.empty();
  co_return are_there;
}

/// By two at a time: a worker that takes one connection after the other has no room for both.
asio::awaitable<void> Examination::check_shares() {
  begin(Check::shares);
  constexpr std::size_t rounds = 25;
  constexpr std::size_t siblings = 2;
  std::array<std::size_t, siblings> taken{};
  const TimePoint end = from_now(15s);
  std::size_t connections = 0;
  while (connections < rounds * siblings && first_ended(families_) == nullptr &&
         std::chrono::steady_clock::now() < end) {
    connections += siblings;
    std::array<ProbeClient, siblings> visitors{ProbeClient(executor_, trial_.place(), plan_.path),
                                               ProbeClient(executor_, trial_.place(), plan_.path)};
    for (ProbeClient& each : visitors) {
      const bool is_connected = co_await each.connect();
      if (is_connected && plan_.defers_accept()) co_await each.begin_to_ask();
    }
    for (ProbeClient& each : visitors) {
      const auto owner = co_await owner_of(each);
      if (owner && *owner < siblings) ++taken.at(*owner);
    }
    for (ProbeClient& each : visitors) co_await each.ask(false);
  }
  const bool are_there = co_await are_all_there(Check::shares);
  if (!are_there) co_return;
  const std::size_t all = taken[0] + taken[1];
  const bool is_blind = all * 4 < connections;
  const std::string seen = fmt::format("of {} connections {} and {}", all, taken[0], taken[1]);
  if (is_blind)
    find(Check::shares, Verdict::skipped,
         fmt::format("who has which connection can't be seen ({})",
                     plan_.defers_accept()
                         ? "with --defer-accept, a program that answers to the first byte ends it first"
                         : "are its processes another user's?"));
  else if (taken[0] > 0 && taken[1] > 0)
    find(Check::shares, Verdict::ok,
         fmt::format("{} (busiest ÷ mean {:.2f})", seen,
                     static_cast<double>(siblings * std::max(taken[0], taken[1])) / static_cast<double>(all)));
  else
    find(
        Check::shares, Verdict::failed, seen,
        "leave a connection to a sibling while it is busy: accept one at a time, non-blocking; or --policy roundrobin");
}

asio::awaitable<void> Examination::check_descriptors() {
  begin(Check::descriptors);
  constexpr std::size_t requests = 200;
  constexpr std::size_t pardoned = requests / 10;
  const auto count = [this] {
    std::vector<pid_t> all;
    for (const SeenWorker& each : workers_)
      for (const pid_t pid : family_of(each.pid)) all.push_back(pid);
    return descriptors_of(all);
  };
  const Descriptors before = count();
  constexpr unsigned clients = 4;
  Load load(executor_, way(clients));
  load.start(clients, requests);
  co_await trial_.wait_for([&] { return load.has_ended(); }, from_now(30s));
  load.stop();
  // What has been answered is closed a moment later.
  co_await trial_.wait_for([&] { return total(count()) <= total(before); }, from_now(2s));
  const bool are_there = co_await are_all_there(Check::descriptors);
  if (!are_there) co_return;
  const Descriptors after = count();
  const std::string seen =
      fmt::format("{} open before, {} after {} requests", total(before), total(after), load.asked());
  if (total(after) < total(before) + pardoned)
    find(Check::descriptors, Verdict::ok, seen);
  else
    find(Check::descriptors, Verdict::failed, fmt::format("{}: {}", seen, growth_text(before, after)),
         "close what each request opens, also where it fails (connections, files, pipes)");
}

}  // namespace baton::doctor
