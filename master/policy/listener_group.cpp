// Master. Making, closing and naming the listeners of one address.
#include "master/policy/listener_group.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace baton {

ListenerGroup::ListenerGroup(NamedAddress wanted, const SocketPolicy& policy, ListenerAlarm& alarm)
    : wanted_(std::move(wanted)), policy_(policy), alarm_(alarm) {}

std::string ListenerGroup::address() const {
  const auto* network = std::get_if<TcpAddress>(&wanted_.address);
  const bool is_range = network != nullptr && network->ports.is_range();
  return is_range || address_.empty() ? to_string(wanted_.address) : address_;
}

std::string ListenerGroup::summary() const {
  constexpr std::size_t few = 8;
  if (!policy_.has_own_addresses() || vaults_.size() > few || address() != address_) return address();
  return fmt::format("{}", fmt::join(addresses(), ", "));
}

std::vector<std::string> ListenerGroup::addresses() const {
  if (!policy_.has_own_addresses()) return {address()};
  std::vector<std::string> all;
  for (const auto& [place, vault] : vaults_) all.push_back(vault->address());
  return all;
}

std::string ListenerGroup::address_of(unsigned slot) const {
  const auto found = vaults_.find(policy_.place(slot));
  return found == vaults_.end() ? "" : found->second->address();
}

const std::shared_ptr<Vault>& ListenerGroup::vault(unsigned slot) const {
  const auto found = vaults_.find(policy_.place(slot));
  if (found == vaults_.end()) throw std::system_error(EBADF, std::generic_category(), "there is no listener");
  return found->second;
}

void ListenerGroup::adopt(const ListenerGroup& other) {
  const auto* range = std::get_if<TcpAddress>(&wanted_.address);
  if (!policy_.has_own_addresses() || range == nullptr || !range->ports.is_range() || other.name() != name()) return;
  for (unsigned place = 1; place <= range->ports.count(); ++place) {
    const std::string address = to_string(policy_.address(wanted_.address, place));
    for (const auto& [theirs, vault] : other.vaults())
      if (!vault->is_empty() && to_string(vault->wanted().address) == address) vaults_[place] = vault;
  }
}

void ListenerGroup::provide(unsigned slots, int backlog, bool refuses) {
  for (unsigned slot = 1; slot <= std::max(slots, policy_.least()); ++slot)
    if (!vaults_.contains(policy_.place(slot))) prepare(slot, backlog, refuses);
}

void ListenerGroup::prepare(unsigned slot, int backlog, bool refuses) {
  const unsigned place = policy_.place(slot);
  const bool listens = !refuses && !policy_.waits_for_worker(another_listens(place));
  const bool is_next = another_is_open(place);
  const Sharing sharing = !policy_.shares_port() ? Sharing::none : is_next ? Sharing::next : Sharing::first;
  const auto found = vaults_.find(place);
  if (found == vaults_.end()) {
    // Those on one port follow the first, whose port the kernel may have chosen.
    const bool follows = policy_.shares_port() && !address_.empty();
    const NamedAddress wanted{name(), follows ? parse_address(address_, 0) : policy_.address(wanted_.address, place),
                              wanted_.given};
    auto made = listens ? std::make_shared<Vault>(wanted, backlog, alarm_, sharing)
                        : std::make_shared<Vault>(wanted, alarm_, sharing);
    if (address_.empty()) address_ = made->address();
    vaults_.emplace(place, std::move(made));
  } else if (found->second->is_empty()) {
    found->second->reserve(sharing);
    if (listens) found->second->listen(backlog);
  }
}

void ListenerGroup::confirm(unsigned slot, int backlog) {
  const auto found = vaults_.find(policy_.place(slot));
  if (found == vaults_.end() || found->second->is_empty() || found->second->is_listening()) return;
  found->second->listen(backlog);
}

void ListenerGroup::reopen(int backlog) {
  if (vaults_.empty()) return;
  const auto& [place, vault] = *vaults_.begin();
  if (vault->is_empty()) prepare(place, backlog, false);
  vault->listen(backlog);
}

void ListenerGroup::empty() {
  for (const auto& [place, vault] : vaults_) vault->empty();
}

void ListenerGroup::close(unsigned place, bool is_wanted) {
  const auto found = vaults_.find(place);
  if (found == vaults_.end()) return;
  found->second->empty();
  if (!is_wanted) vaults_.erase(found);
}

bool ListenerGroup::another_is_open(unsigned place) const {
  return std::any_of(vaults_.begin(), vaults_.end(),
                     [&](const auto& each) { return each.first != place && !each.second->is_empty(); });
}

bool ListenerGroup::another_listens(unsigned place) const {
  return std::any_of(vaults_.begin(), vaults_.end(),
                     [&](const auto& each) { return each.first != place && each.second->is_listening(); });
}

}  // namespace baton
