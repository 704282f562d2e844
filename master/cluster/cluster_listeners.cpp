// Master. Questions, and the listeners that answer them.
#include "master/cluster/cluster_listeners.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/cluster/asked_address.hpp"
#include "master/listeners/listener.hpp"
#include "master/policy/policy.hpp"

namespace baton {
namespace {

using namespace std::chrono_literals;
using protocol::Query;

// More than a sane program asks for, and little enough for the master's table of descriptors.
constexpr std::size_t most_of_worker = 64;
constexpr std::size_t most_of_all = 256;
constexpr std::size_t most_questions = 512;
// Node's TLS server sends some hundred bytes of keys.
constexpr std::size_t longest_data = 4096;
// A program may ask for one port at its start, and for another once its database has answered.
constexpr auto patience = 5s;

std::uint16_t bound_port(const ListenerGroup& group, unsigned number) {
  const std::string address = group.address_of(number);
  if (address.empty() || address.starts_with("unix:")) return 0;
  return std::get<TcpAddress>(parse_address(address, 0)).ports.first;
}

}  // namespace

ClusterListeners::Answer ClusterListeners::ask(const Asker& asker, const Query& query, bool refuses) {
  Answer answer;
  try {
    check_kind(query);
    std::vector<Holding>& its = holdings_[asker.id];
    if (its.size() >= most_of_worker) throw ListenError(EMFILE, fmt::format("more than {} listeners", most_of_worker));
    const Entry& entry = entry_for(asker, query, refuses, answer);
    entry.group->prepare(asker.number, asker.generation.options.backlog, refuses);  // where it was lost meanwhile
    answer.vault = entry.group->vault(asker.number);
    answer.data = entry.data;
    const std::string question = question_of(query);
    answer.key = std::to_string(++last_key_);
    its.push_back({answer.key, answer.vault, question, false});
    unheld_.erase(entry.group.get());
  } catch (const ListenError& error) {
    answer = {};
    // As libuv has it.
    answer.error = query.is_path() && error.code == ENOENT ? EACCES : error.code;
    answer.remark = error.what();
  }
  return answer;
}

/// Made where nobody has asked this before.
ClusterListeners::Entry& ClusterListeners::entry_for(const Asker& asker, const Query& query, bool refuses,
                                                     Answer& answer) {
  const std::string question = question_of(query);
  const auto& its = holdings_[asker.id];
  if (std::any_of(its.begin(), its.end(), [&](const Holding& each) { return each.question == question; }))
    throw ListenError(EADDRINUSE, fmt::format("{} a second time, and has it already", wanted_address(query)));
  if (boost::json::serialize(query.data).size() > longest_data)
    throw ListenError(EINVAL,
                      fmt::format("{} with more than {} bytes for the others", wanted_address(query), longest_data));
  Group group = given(asker, query, answer);
  const auto found = entries_.find(question);
  if (found != entries_.end()) {
    Entry& entry = found->second;
    const bool is_ours = std::find(groups_.begin(), groups_.end(), entry.group) != groups_.end();
    if (!group && !is_ours) group = made(query, asker.generation.options, refuses, answer);
    if (group) entry.group = std::move(group);
    return entry;
  }
  if (!group) group = made(query, asker.generation.options, refuses, answer);
  make_room();
  return entries_.emplace(question, Entry{std::move(group), query.data}).first->second;
}

/// The configuration's listener that is meant; null: it is to be bound as asked. Whatever the program's port is, a
/// listener of --listen stands for it: the one with that port, else the one that stood for it before, else one that
/// stands for no other yet.
ClusterListeners::Group ClusterListeners::given(const Asker& asker, const Query& query, Answer& answer) const {
  const auto& all = asker.generation.listeners;
  const std::string wanted = wanted_address(query);
  for (const Group& each : all)
    if (query.is_path() ? each->address() == wanted
                        : query.port != 0 && bound_port(*each, asker.number) == static_cast<std::uint64_t>(query.port))
      return each;
  if (query.is_path() || all.empty()) return nullptr;
  const auto known = entries_.find(question_of(query));
  const auto is_taken = [&](const Group& group) {
    return std::any_of(entries_.begin(), entries_.end(), [&](const auto& each) {
      return each.second.group == group && (known == entries_.end() || each.first != known->first);
    });
  };
  if (known != entries_.end() && std::find(all.begin(), all.end(), known->second.group) != all.end())
    return known->second.group;
  for (const Group& each : all)
    if (!is_taken(each)) return each;
  answer.remark =
      fmt::format("{} shares the listener {} with another listen() of its program (one more --listen parts them)",
                  wanted, all.front()->address());
  return all.front();
}

ClusterListeners::Group ClusterListeners::made(const Query& query, const Options& options, bool refuses,
                                               Answer& answer) {
  if (query.is_path() && options.policy == Policy::source)
    throw ListenError(EINVAL,
                      fmt::format("{}: source goes by the client's address, and a Unix socket's clients have none "
                                  "(--policy leastconn is for both)",
                                  wanted_address(query)));
  check_rights(query, options.process);
  if (groups_.size() >= most_of_all) {
    const auto idle = std::find_if(groups_.begin(), groups_.end(), [&](const Group& each) { return !is_held(*each); });
    if (idle == groups_.end())
      throw ListenError(EMFILE, fmt::format("more than the {} listeners of all workers", most_of_all));
    close(Group(*idle));
  }
  const NamedAddress wanted{std::string(default_listener_name), address_asked(query)};
  auto group = std::make_shared<ListenerGroup>(wanted, socket_policy(Policy::shared), alarm_);
  group->prepare(1, options.backlog, refuses);
  groups_.push_back(group);
  answer.is_new = true;
  return group;
}

/// Forgets what nobody asks any more of the configuration's listeners.
void ClusterListeners::make_room() {
  if (entries_.size() < most_questions) return;
  std::erase_if(entries_, [&](const auto& entry) {
    const bool is_ours = std::find(groups_.begin(), groups_.end(), entry.second.group) != groups_.end();
    return !is_ours && std::none_of(holdings_.begin(), holdings_.end(), [&](const auto& each) {
      return std::any_of(each.second.begin(), each.second.end(),
                         [&](const Holding& its) { return its.question == entry.first; });
    });
  });
}

std::shared_ptr<Vault> ClusterListeners::listened(int worker, const Query& query) {
  // Its port is the one that it has, which need not be the one that it asked for.
  const auto found = holdings_.find(worker);
  if (found == holdings_.end()) return nullptr;
  std::vector<Holding>& its = found->second;
  const std::string question = question_of(query);
  const auto is_waiting = [](const Holding& each) { return !each.listens; };
  auto meant = std::find_if(its.begin(), its.end(),
                            [&](const Holding& each) { return is_waiting(each) && each.question == question; });
  if (meant == its.end()) meant = std::find_if(its.begin(), its.end(), is_waiting);
  if (meant == its.end()) return nullptr;
  meant->listens = true;
  return meant->vault;
}

bool ClusterListeners::listens(int worker) const {
  const std::vector<Holding>& its = holdings(worker);
  return !its.empty() && std::all_of(its.begin(), its.end(), [](const Holding& each) { return each.listens; });
}

std::shared_ptr<Vault> ClusterListeners::close(int worker, std::string_view key) {
  const auto found = holdings_.find(worker);
  if (found == holdings_.end()) return nullptr;
  std::vector<Holding>& its = found->second;
  const auto meant = std::find_if(its.begin(), its.end(), [&](const Holding& each) { return each.key == key; });
  if (meant == its.end()) return nullptr;
  std::shared_ptr<Vault> vault = std::move(meant->vault);
  its.erase(meant);
  return vault;
}

void ClusterListeners::forget(int worker) {
  holdings_.erase(worker);
}

const std::vector<ClusterListeners::Holding>& ClusterListeners::holdings(int worker) const {
  static const std::vector<Holding> none;
  const auto found = holdings_.find(worker);
  return found == holdings_.end() ? none : found->second;
}

bool ClusterListeners::holds(int worker, const Vault& vault) const {
  const std::vector<Holding>& its = holdings(worker);
  return std::any_of(its.begin(), its.end(), [&](const Holding& each) { return each.vault.get() == &vault; });
}

bool ClusterListeners::is_held(const ListenerGroup& group) const {
  return std::any_of(holdings_.begin(), holdings_.end(), [&](const auto& each) {
    const auto& vaults = group.vaults();
    return std::any_of(vaults.begin(), vaults.end(), [&](const auto& its) { return holds(each.first, *its.second); });
  });
}

std::vector<ClusterListeners::Group> ClusterListeners::give_up(TimePoint now, bool is_settled) {
  std::vector<Group> given_up;
  if (!is_settled) unheld_.clear();
  for (const Group& each : groups_) {
    if (!is_settled || is_held(*each)) {
      unheld_.erase(each.get());
    } else if (unheld_.try_emplace(each.get(), now).first->second + patience <= now) {
      given_up.push_back(each);
    }
  }
  for (const Group& each : given_up) close(each);
  return given_up;
}

void ClusterListeners::close(const Group& group) {
  group->empty();
  unheld_.erase(group.get());
  std::erase_if(entries_, [&](const auto& each) { return each.second.group == group; });
  std::erase(groups_, group);
}

void ClusterListeners::prepare(unsigned slot, int backlog, bool refuses) {
  const std::vector<Group> asked_for = groups_;
  for (const Group& group : asked_for) {
    try {
      group->prepare(slot, backlog, refuses);
    } catch (const std::runtime_error& error) {  // StartError, std::system_error
      log::warning("{}; it is given up until a worker asks for it", error.what());
      close(group);
    }
  }
}

void ClusterListeners::empty() {
  for (const Group& each : groups_) each->empty();
}

}  // namespace baton
