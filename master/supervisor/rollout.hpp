// Master. Reload, scale and stop, from the command to its outcome: makes the new generation, has the pool compare,
// rolls back where a new worker fails, and answers those who wait. Owns the waiting.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/control/commands.hpp"
#include "master/pool/pool.hpp"
#include "master/settings/generations.hpp"
#include "master/supervisor/open_listeners.hpp"

namespace baton {

class Rollout {
 public:
  /// What it works with; all of it outlives this.
  struct Parts {
    Pool& pool;
    Generations& generations;
    OpenListeners& listeners;
    Events& events;
  };
  /// What it needs done, or made, by others.
  struct Steps {
    /// Reads the configuration again; what it throws refuses the reload.
    std::function<Options()> read_options;
    /// Makes the next generation of it, for so many workers. Throws StartError.
    std::function<Generations::Pointer(Options, unsigned)> make_generation;
    /// Throws UsageError where so many workers would not do for the listeners that are open.
    std::function<void(const Options&, unsigned)> check_target;
    /// Something else is wanted now.
    std::function<void()> advance;
  };

  Rollout(const Parts& parts, Steps steps) : parts_(parts), steps_(std::move(steps)) {}

  /// As Commands has them.
  void scale(std::string_view amount, Done done);
  void reload(Done done);
  void stop(Done done);

  /// Ends what has come to its end, and begins the reload that waited for it. To be called after whatever has changed.
  void settle();
  /// The last worker has gone.
  void end_stop();
  /// A worker has got ready.
  void tell_progress();
  /// A worker of the wanted generation was lost. `what` is a clause for those who wait for the outcome.
  void on_loss(const Loss& loss, const std::string& what);

  [[nodiscard]] bool is_scaling() const { return scaling_; }
  [[nodiscard]] unsigned reloads() const { return reloads_; }  ///< begun

 private:
  void set_target(unsigned target, Done done);
  void begin_reload();
  void take_over(Options options);
  void begin_generation(Generations::Pointer next, unsigned target, bool is_rescaled);
  void tell_begun();
  void roll_back(const std::string& why);
  void end_reload(const Outcome& outcome);
  void end_scale(const Outcome& outcome);

  Parts parts_;
  Steps steps_;
  std::optional<unsigned> old_target_;  ///< before a reload changed it
  unsigned reloads_ = 0;
  bool scaling_ = false;
  bool reload_again_ = false;
  std::vector<Done> scale_done_;
  std::vector<Done> reload_done_;
  std::vector<Done> next_reload_done_;  ///< of those who asked during a reload
  std::vector<Done> stop_done_;
};

}  // namespace baton
