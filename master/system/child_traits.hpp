// Master. What a child has besides its descriptors and variables: limits, priority, umask, directory, user. Applied by
// the child itself between fork and exec; which step of it failed is noted where its parent can read it.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "master/system/account.hpp"

namespace baton {

/// What is not set stays as this process has it.
struct ChildTraits {
  std::optional<rlimit> open_files;
  std::optional<int> nice;
  std::optional<mode_t> umask;
  std::string directory;
  std::optional<Account> account;
  int parent_death_signal = 0;  ///< what it gets when this process ends, however it does; 0: nothing
};

/// Of a child's start.
enum class Step : std::uint8_t { before, open_files, nice, umask, directory, groups, group, user, program };

/// One page that the child shares with its parent.
class StepNote {
 public:
  /// Throws std::system_error.
  StepNote();
  StepNote(const StepNote&) = delete;
  StepNote& operator=(const StepNote&) = delete;
  ~StepNote();

  void put(Step step) const { *page_ = step; }
  [[nodiscard]] Step get() const { return *page_; }

 private:
  volatile Step* page_;
};

/// In the child: async-signal-safe calls only. False, with errno, where one failed; the note says which.
bool apply(const ChildTraits& traits, const StepNote& note);

/// "can't change to user app: operation not permitted (…)": what failed in a child that had these traits, and the way
/// out.
std::string describe_failure(Step step, int error, const ChildTraits& traits);

/// What to do about a spawn that failed with this errno, in brackets, or nothing.
std::string way_out(int error);

}  // namespace baton
