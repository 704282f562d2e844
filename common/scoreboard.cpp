// Any process. The shared memory of the scoreboard.
#include "common/scoreboard.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "common/error.hpp"

namespace baton {
namespace {

constexpr std::size_t index_of(Metric metric) {
  return static_cast<std::size_t>(metric);
}

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < metrics.size(); ++i)
    if (index_of(metrics.at(i).metric) != i) return false;
  return true;
}
static_assert(is_in_order(), "a metric's place in the table is its place in a row");

}  // namespace

MappedRows::MappedRows(const Fd& memory, std::size_t first, std::size_t count) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = first * sizeof(CounterRow);
  const std::size_t aligned = begin / page * page;
  size_ = begin + count * sizeof(CounterRow) - aligned;
  void* const mapped =
      ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), static_cast<off_t>(aligned));
  if (mapped == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap(scoreboard)");
  memory_ = mapped;
  rows_ = reinterpret_cast<CounterRow*>(static_cast<std::byte*>(mapped) + (begin - aligned));
}

MappedRows::MappedRows(MappedRows&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), size_(other.size_), rows_(other.rows_) {}

MappedRows& MappedRows::operator=(MappedRows&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  std::swap(rows_, other.rows_);
  return *this;
}

MappedRows::~MappedRows() {
  if (memory_ != nullptr) ::munmap(memory_, size_);
}

Scoreboard::Scoreboard(std::size_t rows)
    : memory_(check(::memfd_create("baton-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create")),
      taken_(rows) {
  const std::size_t size = rows * sizeof(CounterRow);
  if (::ftruncate(memory_.get(), static_cast<off_t>(size)) == -1)
    throw StartError(fmt::format("can't make a scoreboard of {} bytes: {}{}", size, describe_errno(errno),
                                 errno == EFBIG ? " (ulimit -f allows less: raise it)" : ""));
  check(::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "fcntl(F_ADD_SEALS)");
  rows_ = MappedRows(memory_, 0, rows);
}

std::optional<std::size_t> Scoreboard::take() {
  const auto found = std::find(taken_.begin(), taken_.end(), false);
  if (found == taken_.end()) return std::nullopt;
  *found = true;
  const auto index = static_cast<std::size_t>(found - taken_.begin());
  for (const MetricInfo& each : metrics) rows_[index].set(each.metric, 0);
  rows_[index].set_turns(0);
  return index;
}

void Scoreboard::give_back(std::size_t index) {
  for (const MetricInfo& each : metrics)
    if (each.kind == MetricKind::counter) ended_.at(index_of(each.metric)) += rows_[index].get(each.metric);
  rows_[index].set_turns(0);
  taken_.at(index) = false;
}

std::uint64_t Scoreboard::total(Metric metric) const {
  std::uint64_t sum = ended_.at(index_of(metric));
  for (std::size_t i = 0; i < taken_.size(); ++i)
    if (taken_[i]) sum += rows_[i].get(metric);
  return sum;
}

std::string Counters::attach(const Fd& memory, std::uint64_t index) {
  struct stat status {};
  if (::fstat(memory.get(), &status) == -1) return describe_errno(errno);
  // What can be shrunk under a mapping kills whoever touches it then. Only files in memory have seals at all.
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals == -1 || (seals & F_SEAL_SHRINK) == 0) return "its memory is not sealed against shrinking";
  const std::uint64_t rows = static_cast<std::uint64_t>(status.st_size) / sizeof(CounterRow);
  if (index >= rows) return fmt::format("it has {} slots, and none numbered {}", rows, index);
  const std::size_t first = index / neighbourhood * neighbourhood;
  const std::size_t count = std::min(neighbourhood, rows - first);
  MappedRows mapped;
  try {
    mapped = MappedRows(memory, first, count);
  } catch (const std::system_error& error) {
    return error.what();
  }
  CounterRow& row = mapped[index - first];
  for (const MetricInfo& each : metrics) row.set(each.metric, row_->get(each.metric));
  row.set_turns(row_->turns());
  row_ = &row;
  neighbours_ = {&mapped[0], count};
  mapped_ = std::move(mapped);
  return {};
}

}  // namespace baton
