// Worker. What a program was started with by whoever is its master: baton in either dialect, a Node master, systemd.
// Takes it out of the environment, so that nothing that the program starts takes it for its own.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "common/notifier.hpp"

namespace baton {

/// A listening socket that this process was given.
struct GivenListener {
  std::string
      name;  ///< that of `--listen NAME=ADDRESS`, of LISTEN_FDNAMES, or the word that a Node master sent with it
  Fd socket;
};

struct Inheritance {
  std::optional<Fd> channel;
  std::vector<GivenListener> listeners;  ///< by LISTEN_FDS; else they come by the channel
  Notifier notifier;
  std::chrono::microseconds watchdog{0};  ///< the time within which a sign of life is due; 0: none is
  int number = 0;                         ///< among its siblings, from 1; 0: it was given none
};

/// Everything is CLOEXEC from then on. Throws UsageError where a variable names what is not there, and has then taken
/// nothing that is of use.
Inheritance take_inheritance();

}  // namespace baton
