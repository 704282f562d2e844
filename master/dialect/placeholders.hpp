// Master. What stands in braces in a command's arguments, and is different for each worker: {fd}, {port}, {worker}, and
// {fd:NAME} and {port:NAME} for the listener of that name. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/listeners/address.hpp"

namespace baton {

/// What a listener is to a worker's command line.
struct ListenerFacts {
  std::string name;
  std::optional<int> descriptor;  ///< its number in the worker; nothing: it comes later, by a message
  std::string address;            ///< as bound
};

/// Whether some argument has {fd} in it.
bool names_descriptor(const std::vector<std::string>& arguments);

/// Throws UsageError where an argument asks for what can't be known: {fd} without `has_descriptors`, {port} of a Unix
/// socket, a name that no listener has.
void check_placeholders(const std::vector<std::string>& arguments, const std::vector<NamedAddress>& listen,
                        bool has_descriptors);

/// The arguments with what stands for them. What check_placeholders() refuses stays as it is.
std::vector<std::string> fill_placeholders(std::vector<std::string> arguments,
                                           const std::vector<ListenerFacts>& listeners, unsigned worker);

}  // namespace baton
