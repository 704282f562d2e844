// Master. What workers share: values by key, each with the version of its last change, a time to live if it was given
// one, and limits on all of it. Pure but for the file that changes may be written through to; the time is its caller's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace baton::state {

/// Wall-clock time: what expires does so as well while no master runs.
using Moment = std::chrono::sys_time<std::chrono::milliseconds>;

struct Limits {
  std::size_t key = 512;                      ///< bytes
  std::size_t value = std::size_t{64} << 10;  ///< bytes of JSON
  std::size_t keys = 100'000;                 ///< how many
  std::size_t total = std::size_t{64} << 20;  ///< bytes of all keys and values
};

struct Entry {
  std::string value;  ///< JSON
  std::uint64_t version = 0;
  std::optional<Moment> expires = {};
};

enum class Problem : std::uint8_t {
  missing,    ///< there is no such key
  conflict,   ///< its version is another one
  malformed,  ///< the key or the value is none, or is no number where one is wanted
  too_large,  ///< some limit
  broken,     ///< the file can't be written
};

/// Why something was not done; nothing was changed then.
struct Refusal : std::runtime_error {
  Refusal(Problem its_problem, const std::string& why, std::uint64_t its_version = 0)
      : std::runtime_error(why), problem(its_problem), version(its_version) {}

  Problem problem;
  std::uint64_t version;  ///< of a conflict: the one that it has; 0: there is none
};

/// What has become of a key.
struct Change {
  std::string key;
  std::optional<Entry> entry;  ///< nothing: it was deleted, or its time is over
  std::uint64_t version = 0;   ///< of the change itself
};

struct Condition {
  std::optional<std::uint64_t> version;  ///< that the key must have; 0: it must not exist
};

/// Where changes are written before they hold. Throws std::runtime_error where that fails.
class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  virtual ~Journal() = default;
  virtual void write(const Change& change) = 0;
};

class Store {
 public:
  explicit Store(const Limits& limits = {}) : limits_(limits) {}

  /// What a file held. `last_version` is that of the last change, which may have been a deletion.
  void load(std::vector<std::pair<std::string, Entry>>&& entries, std::uint64_t last_version);
  /// Outlives the store, or nobody.
  void set_journal(Journal* journal) { journal_ = journal; }
  /// Is told of each change once it holds.
  void on_change(std::function<void(const Change&)> handler) { on_change_ = std::move(handler); }

  // All of these throw Refusal. `now` never goes back within one store.

  [[nodiscard]] const Entry& get(std::string_view key, Moment now);
  /// `value` is one JSON value, of which nothing but the length is looked at. A time to live of another value ends.
  const Entry& put(const std::string& key, std::string value, const Condition& condition,
                   std::optional<std::chrono::milliseconds> time_to_live, Moment now);
  /// Adds to a whole number, and to 0 where there is none; a time to live goes on. The entry is the sum's.
  const Entry& add(const std::string& key, std::int64_t amount, std::optional<std::chrono::milliseconds> time_to_live,
                   Moment now);
  /// The version of the deletion.
  std::uint64_t remove(const std::string& key, const Condition& condition, Moment now);

  struct Page {
    std::vector<std::pair<std::string, Entry>> entries;  ///< in the order of their keys' bytes
    bool has_more = false;
  };
  /// The keys that begin with `prefix` and come behind `after`: so many, and no more than a mebibyte of them.
  [[nodiscard]] Page list(std::string_view prefix, std::string_view after, std::size_t most, Moment now);

  /// Deletes what is over.
  void expire(Moment now);
  /// When the next one will be over.
  [[nodiscard]] std::optional<Moment> deadline() const;

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  using Entries = std::map<std::string, Entry, std::less<>>;

  void check_key(std::string_view key) const;
  static void check_condition(const Condition& condition, const Entry* entry, std::string_view key);
  void check_room(const std::string& key, const Entry& entry, const Entry* before) const;
  [[nodiscard]] Entry* find(std::string_view key, Moment now);
  const Entry& set(const std::string& key, Entry entry);
  void erase(Entries::iterator at);
  void publish(const Change& change);

  Limits limits_;
  Entries entries_;
  std::set<std::pair<Moment, std::string>> expiries_;
  std::size_t bytes_ = 0;
  std::uint64_t version_ = 0;  ///< of the last change
  Journal* journal_ = nullptr;
  std::function<void(const Change&)> on_change_;
};

}  // namespace baton::state
