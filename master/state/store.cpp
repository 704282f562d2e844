// Master. Reading, changing and forgetting what workers share.
#include "master/state/store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace baton::state {
namespace {

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::size_t weight(std::string_view key, const Entry& entry) {
  return key.size() + entry.value.size();
}

bool has_control_character(std::string_view text) {
  constexpr unsigned char first_printable = 0x20;
  constexpr unsigned char last_of_ascii = 0x7F;
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < first_printable || c == last_of_ascii; });
}

std::optional<Moment> expiry(std::optional<std::chrono::milliseconds> time_to_live, Moment now) {
  if (!time_to_live) return std::nullopt;
  return now + *time_to_live;
}

}  // namespace

void Store::load(std::vector<std::pair<std::string, Entry>>&& entries, std::uint64_t last_version) {
  version_ = last_version;
  for (auto& [key, entry] : entries) {
    bytes_ += weight(key, entry);
    if (entry.expires) expiries_.emplace(*entry.expires, key);
    version_ = std::max(version_, entry.version);
    entries_.insert_or_assign(std::move(key), std::move(entry));
  }
}

void Store::check_key(std::string_view key) const {
  if (key.empty()) throw Refusal(Problem::malformed, "a key has at least one byte");
  if (key.size() > limits_.key)
    throw Refusal(Problem::too_large,
                  fmt::format("a key of {} bytes is longer than {} bytes", key.size(), limits_.key));
  if (has_control_character(key)) throw Refusal(Problem::malformed, "a key has no control characters");
}

void Store::check_condition(const Condition& condition, const Entry* entry, std::string_view key) {
  const std::uint64_t version = entry != nullptr ? entry->version : 0;
  if (!condition.version || *condition.version == version) return;
  if (version == 0)
    throw Refusal(Problem::conflict,
                  fmt::format("\"{}\" does not exist, and has no version {}", key, *condition.version));
  throw Refusal(Problem::conflict,
                *condition.version == 0
                    ? fmt::format("\"{}\" exists, with version {}", key, version)
                    : fmt::format("\"{}\" has version {}, not {}", key, version, *condition.version),
                version);
}

void Store::check_room(const std::string& key, const Entry& entry, const Entry* before) const {
  if (entry.value.size() > limits_.value)
    throw Refusal(Problem::too_large, fmt::format("a value of {} bytes of JSON is longer than {} bytes",
                                                  entry.value.size(), limits_.value));
  if (before == nullptr && entries_.size() >= limits_.keys)
    throw Refusal(Problem::too_large, fmt::format("there are {} keys already, and no more may be", limits_.keys));
  const std::size_t freed = before != nullptr ? weight(key, *before) : 0;
  if (bytes_ - freed + weight(key, entry) > limits_.total)
    throw Refusal(Problem::too_large,
                  fmt::format("all keys and values together would be longer than {} bytes", limits_.total));
}

/// What is over is no more, though expire() has not come by yet.
Entry* Store::find(std::string_view key, Moment now) {
  check_key(key);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (!found->second.expires || *found->second.expires > now) return &found->second;
  erase(found);
  return nullptr;
}

const Entry& Store::get(std::string_view key, Moment now) {
  const Entry* const found = find(key, now);
  if (found == nullptr) throw Refusal(Problem::missing, fmt::format("there is no \"{}\"", key));
  return *found;
}

const Entry& Store::put(const std::string& key, std::string value, const Condition& condition,
                        std::optional<std::chrono::milliseconds> time_to_live, Moment now) {
  const Entry* const before = find(key, now);
  check_condition(condition, before, key);
  Entry entry{std::move(value), version_ + 1, expiry(time_to_live, now)};
  check_room(key, entry, before);
  return set(key, std::move(entry));
}

const Entry& Store::add(const std::string& key, std::int64_t amount,
                        std::optional<std::chrono::milliseconds> time_to_live, Moment now) {
  const Entry* const before = find(key, now);
  const std::optional<std::int64_t> number = before != nullptr ? whole_number(before->value) : 0;
  if (!number) throw Refusal(Problem::malformed, fmt::format("\"{}\" is no whole number of 64 bits", key));
  std::int64_t sum = 0;
  if (__builtin_add_overflow(*number, amount, &sum))
    throw Refusal(Problem::too_large, fmt::format("{} and {} is more than 64 bits hold", *number, amount));
  Entry entry{fmt::format_int(sum).str(), version_ + 1, expiry(time_to_live, now)};
  if (!time_to_live && before != nullptr) entry.expires = before->expires;
  check_room(key, entry, before);
  return set(key, std::move(entry));
}

std::uint64_t Store::remove(const std::string& key, const Condition& condition, Moment now) {
  const Entry* const before = find(key, now);
  check_condition(condition, before, key);
  if (before == nullptr) throw Refusal(Problem::missing, fmt::format("there is no \"{}\"", key));
  erase(entries_.find(key));
  return version_;
}

Store::Page Store::list(std::string_view prefix, std::string_view after, std::size_t most, Moment now) {
  constexpr std::size_t most_bytes = std::size_t{1} << 20;
  Page page;
  std::size_t bytes = 0;
  auto each = after < prefix ? entries_.lower_bound(prefix) : entries_.upper_bound(after);
  for (; each != entries_.end() && each->first.starts_with(prefix); ++each) {
    if (each->second.expires && *each->second.expires <= now) continue;
    bytes += weight(each->first, each->second);
    page.has_more = page.entries.size() == most || (bytes > most_bytes && !page.entries.empty());
    if (page.has_more) break;
    page.entries.emplace_back(*each);
  }
  return page;
}

void Store::expire(Moment now) {
  while (!expiries_.empty() && expiries_.begin()->first <= now) erase(entries_.find(expiries_.begin()->second));
}

std::optional<Moment> Store::deadline() const {
  if (expiries_.empty()) return std::nullopt;
  return expiries_.begin()->first;
}

const Entry& Store::set(const std::string& key, Entry entry) {
  const Change change{key, entry, entry.version};
  if (journal_ != nullptr) journal_->write(change);
  version_ = change.version;
  Entry& kept = entries_[key];
  if (kept.version != 0) bytes_ -= weight(key, kept);
  if (kept.expires) expiries_.erase({*kept.expires, key});
  kept = std::move(entry);
  bytes_ += weight(key, kept);
  if (kept.expires) expiries_.emplace(*kept.expires, key);
  publish(change);
  return kept;
}

void Store::erase(Entries::iterator at) {
  const Change change{at->first, std::nullopt, version_ + 1};
  if (journal_ != nullptr) journal_->write(change);
  version_ = change.version;
  bytes_ -= weight(at->first, at->second);
  if (at->second.expires) expiries_.erase({*at->second.expires, at->first});
  entries_.erase(at);
  publish(change);
}

void Store::publish(const Change& change) {
  if (on_change_) on_change_(change);
}

}  // namespace baton::state
