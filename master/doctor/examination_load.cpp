// Doctor. The checks in service: how siblings share the connections, and what requests leave behind.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "master/doctor/examination.hpp"
#include "master/doctor/load.hpp"
#include "master/doctor/probe_client.hpp"
#include "master/doctor/processes.hpp"

namespace baton::doctor {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

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
asio::awaitable<Examination::Shares> Examination::count_shares() {
  constexpr std::size_t rounds = 25;
  Shares shares;
  const TimePoint end = from_now(15s);
  while (shares.connections < rounds * siblings && first_ended(families_) == nullptr &&
         std::chrono::steady_clock::now() < end) {
    shares.connections += siblings;
    std::array<ProbeClient, siblings> clients{ProbeClient(executor_, trial_.place(), plan_.path),
                                              ProbeClient(executor_, trial_.place(), plan_.path)};
    for (ProbeClient& each : clients) {
      const bool is_connected = co_await each.connect();
      if (is_connected && plan_.defers_accept()) co_await each.begin_to_ask();
    }
    for (ProbeClient& each : clients) {
      const auto owner = co_await owner_of(each);
      if (owner && *owner < siblings) ++shares.taken.at(*owner);
    }
    for (ProbeClient& each : clients) co_await each.ask(false);
  }
  co_return shares;
}

asio::awaitable<void> Examination::check_shares() {
  begin(Check::shares);
  const Shares shares = co_await count_shares();
  const bool are_there = co_await are_all_there(Check::shares);
  if (are_there) judge_shares(shares);
}

void Examination::judge_shares(const Shares& shares) {
  const auto& taken = shares.taken;
  const std::size_t all = taken[0] + taken[1];
  const bool is_blind = all * 4 < shares.connections;
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
