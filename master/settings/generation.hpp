// Master. One reading of the configuration, with what was made of it. Workers of several generations live side by side
// during a reload; a listener that two of them name is the same one in both, and is closed with the last.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <vector>

#include "master/output/output_files.hpp"
#include "master/policy/listener_group.hpp"
#include "master/settings/options.hpp"
#include "master/system/child.hpp"

namespace baton {

struct Generation {
  unsigned number = 1;
  Options options;
  Command command;
  std::vector<std::shared_ptr<ListenerGroup>> listeners;
  std::shared_ptr<OutputFile> output;  ///< for what workers write; null: the master's standard streams
};

/// Binds what so many `slots` need and `predecessor` (or nobody) does not have yet; `refuses`: clients are to be
/// refused there until a worker is ready. `number` is one that no generation had before: workers of one that was rolled
/// back may still be there. Throws StartError, and no client notices then.
std::shared_ptr<const Generation> make_generation(const boost::asio::any_io_executor& executor, unsigned number,
                                                  Options options, const Generation* predecessor, ListenerAlarm& alarm,
                                                  unsigned slots, bool refuses);

}  // namespace baton
