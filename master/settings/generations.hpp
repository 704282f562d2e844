// Master. Which configuration is in force: the one that is wanted and, while a reload runs, the one to go back to.
#pragma once

#include <memory>
#include <set>

#include "master/settings/generation.hpp"

namespace baton {

class Generations {
 public:
  using Pointer = std::shared_ptr<const Generation>;
  using Groups = std::vector<std::shared_ptr<ListenerGroup>>;

  /// The first. Before it there is none, and nothing else may be called.
  void begin(Pointer first);
  /// A reload's: the one in force becomes the one to go back to.
  void replace(Pointer next);
  /// The reload is done. Returns the one that nobody goes back to any more.
  Pointer settle();
  /// The reload has failed: the one before is in force again. Returns the one that failed.
  Pointer roll_back();

  [[nodiscard]] const Pointer& current() const { return current_; }
  /// Null where no reload runs.
  [[nodiscard]] const Pointer& previous() const { return previous_; }
  /// Of the one in force.
  [[nodiscard]] const Options& options() const { return current_->options; }
  /// One that no generation had.
  [[nodiscard]] unsigned next_number() const { return last_number_ + 1; }
  /// Of all that are in use, each once.
  [[nodiscard]] std::set<std::shared_ptr<ListenerGroup>> listeners() const;

 private:
  Pointer current_;
  Pointer previous_;
  unsigned last_number_ = 0;
};

/// The listeners of `one` that `other` does not have.
Generations::Groups listeners_without(const Generation& one, const Generation& other);

}  // namespace baton
