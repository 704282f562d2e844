// Master. What stays, and what is new.
#include "master/generation.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace baton {
namespace {

Command worker_command(const Options& options) {
  if (!options.command.empty()) return {find_program(options.command.front()), options.command};
  // By this link rather than by name, so that a binary replaced on disk still starts workers of its own version.
  Command embedded{"/proc/self/exe", {"baton", "worker"}};
  for (std::string& argument : to_arguments(options.worker)) embedded.arguments.push_back(std::move(argument));
  return embedded;
}

/// The listener that `left` has under this name and address; it is taken out of there. An address whose port the kernel
/// chose can be there several times.
std::shared_ptr<Vault> take(std::vector<std::shared_ptr<Vault>>& left, const NamedAddress& wanted) {
  const auto found = std::find_if(left.begin(), left.end(), [&](const std::shared_ptr<Vault>& each) {
    return to_string(each->wanted()) == to_string(wanted);
  });
  if (found == left.end()) return nullptr;
  std::shared_ptr<Vault> taken = std::move(*found);
  left.erase(found);
  return taken;
}

}  // namespace

std::shared_ptr<const Generation> make_generation(unsigned number, Options options, const Generation* predecessor,
                                                  ListenerAlarm& alarm) {
  auto made = std::make_shared<Generation>();
  made->number = number;
  made->command = worker_command(options);
  std::vector<std::shared_ptr<Vault>> left;
  if (predecessor != nullptr) left = predecessor->listeners;
  for (const NamedAddress& wanted : options.listen) {
    std::shared_ptr<Vault> kept = take(left, wanted);
    made->listeners.push_back(kept ? std::move(kept) : std::make_shared<Vault>(wanted, options.backlog, alarm));
  }
  made->options = std::move(options);
  return made;
}

}  // namespace baton
