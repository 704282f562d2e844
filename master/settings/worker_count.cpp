// Master. From text to a number of workers.
#include "master/settings/worker_count.hpp"

#include <fmt/format.h>

#include "common/error.hpp"
#include "common/units.hpp"
#include "master/settings/options.hpp"

namespace baton {

unsigned parse_worker_count(std::string_view amount, unsigned from) {
  const bool is_relative = amount.starts_with('+') || amount.starts_with('-');
  const auto number = static_cast<unsigned>(
      parse_count(is_relative ? amount.substr(1) : amount, 0, most_workers, "a number of workers"));
  if (!is_relative) return number;
  if (amount.front() == '-') return from > number ? from - number : 0;
  if (from + number > most_workers)
    throw UsageError(fmt::format("\"{}\" would be {} workers (at most {})", amount, from + number, most_workers));
  return from + number;
}

}  // namespace baton
