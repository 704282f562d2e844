// Master. The two calls.
#include "master/open_files.hpp"

#include "common/error.hpp"

namespace baton {

rlimit raise_open_files() {
  rlimit before{};
  check(::getrlimit(RLIMIT_NOFILE, &before), "getrlimit");
  rlimit raised = before;
  raised.rlim_cur = raised.rlim_max;
  check(::setrlimit(RLIMIT_NOFILE, &raised), "setrlimit");
  return before;
}

}  // namespace baton
