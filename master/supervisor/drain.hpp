// Master. How a worker is asked to finish, or made to: what the lifecycle's table says is to be done, done to the
// process. One that is handed connections has acknowledged them before it is asked.
#pragma once

#include "master/control/events.hpp"
#include "master/dispatch/connection_handing.hpp"
#include "master/pool/pool.hpp"

namespace baton {

class Drain {
 public:
  Drain(Pool& pool, ProcessTable& processes, ConnectionHanding& handing, Events& events)
      : pool_(pool), processes_(processes), handing_(handing), events_(events) {}

  /// The worker is to finish what it is answering, and to end.
  void ask(int id);
  /// The same for any action: the worker is handed nothing more.
  void carry_out(int id, Action action);
  /// To its process alone, as it is.
  void signal(int id, Action action);

 private:
  Pool& pool_;
  ProcessTable& processes_;
  ConnectionHanding& handing_;
  Events& events_;
};

}  // namespace baton
