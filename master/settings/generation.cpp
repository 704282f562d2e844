// Master. What stays, and what is new.
#include "master/settings/generation.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace baton {
namespace {

using Group = std::shared_ptr<ListenerGroup>;

Command worker_command(const Options& options) {
  if (!options.command.empty()) return {find_program(options.command.front()), options.command};
  // By this link rather than by name, so that a binary replaced on disk still starts workers of its own version.
  Command embedded{"/proc/self/exe", {"baton", "worker"}};
  for (std::string& argument : to_arguments(options.worker)) embedded.arguments.push_back(std::move(argument));
  return embedded;
}

/// The listener that `left` has under this name and address; it is taken out of there. An address whose port the kernel
/// chose can be there several times.
Group take(std::vector<Group>& left, const NamedAddress& wanted) {
  const auto found = std::find_if(left.begin(), left.end(),
                                  [&](const Group& each) { return to_string(each->wanted()) == to_string(wanted); });
  if (found == left.end()) return nullptr;
  Group taken = std::move(*found);
  left.erase(found);
  return taken;
}

/// Two generations that name the same file write to one.
std::shared_ptr<OutputFile> output_of(const boost::asio::any_io_executor& executor, const Options& options,
                                      const Generation* predecessor) {
  const std::string& path = options.process.output;
  if (path.empty()) return nullptr;
  const bool is_same = predecessor != nullptr && predecessor->output && predecessor->output->path() == path;
  return is_same ? predecessor->output : std::make_shared<OutputFile>(executor, path);
}

}  // namespace

std::shared_ptr<const Generation> make_generation(const boost::asio::any_io_executor& executor, unsigned number,
                                                  Options options, const Generation* predecessor, ListenerAlarm& alarm,
                                                  unsigned slots, bool refuses) {
  auto made = std::make_shared<Generation>();
  made->number = number;
  made->command = worker_command(options);
  made->output = output_of(executor, options, predecessor);
  std::vector<Group> left;
  if (predecessor != nullptr) left = predecessor->listeners;
  for (const NamedAddress& wanted : options.listen) {
    Group group = take(left, wanted);
    if (!group) {
      group = std::make_shared<ListenerGroup>(wanted, socket_policy(options.policy), alarm);
      if (predecessor != nullptr)
        for (const Group& each : predecessor->listeners) group->adopt(*each);
    }
    made->listeners.push_back(std::move(group));
  }
  for (const Group& each : made->listeners) each->provide(slots, options.backlog, refuses);
  made->options = std::move(options);
  return made;
}

}  // namespace baton
