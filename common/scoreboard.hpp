// Any process. What each worker counts, in memory that the master reads: a row for each worker, written by that worker
// alone, without locks and without a message. After Varnish's counters, each is declared once, with what it means.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.hpp"

namespace baton {

enum class Metric : std::uint8_t { accepted, open, requests, bytes, errors, accept_misses, last_beat };

enum class MetricKind : std::uint8_t {
  counter,  ///< only grows; of a worker that has ended it stays in the total
  gauge,    ///< as it is now
};

struct MetricInfo {
  Metric metric;
  std::string_view name;
  MetricKind kind;
  std::string_view unit;
  std::string_view help;
};

constexpr std::array<MetricInfo, 7> metrics{{
    {Metric::accepted, "accepted", MetricKind::counter, "connections",
     "Connections that the worker accepted or was handed"},
    {Metric::open, "open", MetricKind::gauge, "connections", "Connections that the worker holds"},
    {Metric::requests, "requests", MetricKind::counter, "requests", "Requests answered with success"},
    {Metric::bytes, "bytes", MetricKind::counter, "bytes", "Bytes sent to clients"},
    {Metric::errors, "errors", MetricKind::counter, "requests and connections",
     "Requests answered with an error, and connections that broke"},
    {Metric::accept_misses, "accept_misses", MetricKind::counter, "wake-ups",
     "Wake-ups for a listener where no connection was left to accept"},
    {Metric::last_beat, "last_beat", MetricKind::gauge, "milliseconds of the monotonic clock",
     "When the worker's loop turned last"},
}};

/// One worker's values, on two cache lines: one for the master to read now and then, one that other workers read at
/// each connection. No worker's counting slows another's, for CPUs fetch lines in pairs.
class alignas(128) CounterRow {
 public:
  /// By the row's one writer: a load and a store, no locked instruction.
  void add(Metric metric, std::uint64_t amount = 1) noexcept { set(metric, get(metric) + amount); }
  void set(Metric metric, std::uint64_t value) noexcept { at(metric).store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get(Metric metric) const noexcept {
    return values_[static_cast<std::size_t>(metric)].load(std::memory_order_relaxed);
  }

  /// How far the worker is in taking turns: worker/turns.hpp. 0: it takes none.
  [[nodiscard]] std::uint64_t turns() const noexcept { return turns_.load(std::memory_order_relaxed); }
  void set_turns(std::uint64_t value) noexcept { turns_.store(value, std::memory_order_relaxed); }

 private:
  using Value = std::atomic<std::uint64_t>;
  static_assert(Value::is_always_lock_free, "a lock in shared memory would be every process's");
  Value& at(Metric metric) noexcept { return values_[static_cast<std::size_t>(metric)]; }

  static constexpr std::size_t line = 64;
  std::array<Value, metrics.size()> values_{};
  static_assert(sizeof values_ <= line);
  alignas(line) Value turns_{};
};
static_assert(sizeof(CounterRow) == 128);

/// Rows mapped into this process's memory. Owns the mapping, not the descriptor.
class MappedRows {
 public:
  MappedRows() = default;
  /// `count` rows from the one numbered `first`. Throws std::system_error.
  MappedRows(const Fd& memory, std::size_t first, std::size_t count);
  MappedRows(MappedRows&& other) noexcept;
  MappedRows& operator=(MappedRows&& other) noexcept;
  MappedRows(const MappedRows&) = delete;
  MappedRows& operator=(const MappedRows&) = delete;
  ~MappedRows();

  [[nodiscard]] bool is_mapped() const { return memory_ != nullptr; }
  [[nodiscard]] CounterRow& operator[](std::size_t index) const { return rows_[index]; }

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0;
  CounterRow* rows_ = nullptr;
};

/// The master's: makes the memory, and gives rows away. Owns both.
class Scoreboard {
 public:
  /// Memory is only used for rows that were given away. Throws StartError, std::system_error.
  explicit Scoreboard(std::size_t rows);

  /// To be sent to workers. It can't be shrunk, so that reading it never fails.
  [[nodiscard]] const Fd& memory() const { return memory_; }

  /// A row of zeros, or nothing when all are taken.
  std::optional<std::size_t> take();
  /// Its worker has ended; its counters go into the total.
  void give_back(std::size_t index);

  [[nodiscard]] const CounterRow& row(std::size_t index) const { return rows_[index]; }
  /// Over all workers that are or were.
  [[nodiscard]] std::uint64_t total(Metric metric) const;

 private:
  Fd memory_;
  MappedRows rows_;
  std::vector<bool> taken_;
  std::array<std::uint64_t, metrics.size()> ended_{};
};

/// How many workers see each other's turns: as many as fit into a page.
constexpr std::size_t neighbourhood = 32;

/// The worker's: what it counts into. Its own memory, until a master gives it a row.
class Counters {
 public:
  Counters() = default;
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;
  ~Counters() = default;

  /// Goes on in that row of a scoreboard. Returns what is wrong with it, and changes nothing then, or an empty text.
  /// Any program may have sent `memory`.
  std::string attach(const Fd& memory, std::uint64_t index);
  [[nodiscard]] bool is_attached() const { return mapped_.is_mapped(); }

  /// The rows of some workers with the same scoreboard, this one's among them.
  [[nodiscard]] std::span<const CounterRow> neighbours() const noexcept { return neighbours_; }
  [[nodiscard]] std::uint64_t turns() const noexcept { return row_->turns(); }
  void set_turns(std::uint64_t value) noexcept { row_->set_turns(value); }

  void add(Metric metric, std::uint64_t amount = 1) noexcept { row_->add(metric, amount); }
  void set(Metric metric, std::uint64_t value) noexcept { row_->set(metric, value); }
  [[nodiscard]] std::uint64_t get(Metric metric) const noexcept { return row_->get(metric); }

 private:
  CounterRow own_;
  MappedRows mapped_;
  CounterRow* row_ = &own_;
  std::span<const CounterRow> neighbours_{&own_, 1};
};

}  // namespace baton
