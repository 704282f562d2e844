// Master. The four kinds of readiness.
#include "master/process/readiness.hpp"

namespace baton {

bool is_ready(Readiness awaited, const ReadinessSigns& signs) {
  // What it was sent first comes first: it could not serve yet.
  if (signs.owes_answer) return false;
  switch (awaited) {
    case Readiness::message:
      return signs.said_ready;
    case Readiness::handle:
      return signs.listens ? *signs.listens : signs.said_ready || !signs.said_hello;
    case Readiness::notify:
      return signs.notified_ready;
    case Readiness::accepts:
      return signs.notified_ready || signs.said_ready || (signs.accepts && !signs.said_hello);
  }
  return false;
}

}  // namespace baton
