// Master. What the pool knows of a process that holds a slot, or did; and of its end. Plain data.
#pragma once

#include "master/pool/lifecycle.hpp"

namespace baton {

struct Member {
  unsigned slot = 0;
  unsigned generation = 0;
  Life life;
  bool was_ready = false;
  TimePoint ready_since{};
  bool was_retired = false;   ///< leaves because it was asked to
  bool is_condemned = false;  ///< to be replaced, though its generation is current
  bool is_counted = false;    ///< its failure is in its slot's record already
};

/// A member's end, or the moment it turned out to be of no use.
struct Loss {
  Member member;
  bool is_failure = false;
  bool ends_reload = false;  ///< the reload under way has failed by it, and is being rolled back
  Milliseconds delay{0};     ///< until its slot is filled again
};

}  // namespace baton
