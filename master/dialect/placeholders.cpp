// Master. Finding and filling what stands in braces.
#include "master/dialect/placeholders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <variant>

#include "common/error.hpp"

namespace baton {
namespace {

struct Placeholder {
  std::string_view what;  ///< "fd", "port" or "worker"
  std::string_view name;  ///< of a listener; empty: the first
};

/// What `text` begins with, where that is one of ours: "{fd:api} and more".
std::optional<std::pair<Placeholder, std::size_t>> placeholder_at(std::string_view text) {
  const std::size_t end = text.find('}');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view inside = text.substr(1, end - 1);
  const std::size_t colon = inside.find(':');
  Placeholder found{inside.substr(0, colon), {}};
  const bool has_name = colon != std::string_view::npos;
  if (has_name) found.name = inside.substr(colon + 1);
  const bool is_of_listener = found.what == "fd" || found.what == "port";
  if (!is_of_listener && (found.what != "worker" || has_name)) return std::nullopt;
  if (has_name && found.name.empty()) return std::nullopt;
  return std::pair(found, end + 1);
}

/// `value` says what stands for each, or nothing where it is to stay.
using Value = std::function<std::optional<std::string>(const Placeholder&)>;

std::string filled(std::string_view text, const Value& value) {
  std::string result;
  while (!text.empty()) {
    const std::size_t brace = text.find('{');
    result += text.substr(0, brace);
    if (brace == std::string_view::npos) break;
    text.remove_prefix(brace);
    const auto found = placeholder_at(text);
    const auto replacement = found ? value(found->first) : std::nullopt;
    const std::size_t length = replacement ? found->second : 1;
    result += replacement ? *replacement : std::string(text.substr(0, length));
    text.remove_prefix(length);
  }
  return result;
}

void for_each_placeholder(const std::vector<std::string>& arguments,
                          const std::function<void(const Placeholder&)>& run) {
  for (const std::string& each : arguments)
    static_cast<void>(filled(each, [&](const Placeholder& found) -> std::optional<std::string> {
      run(found);
      return std::nullopt;
    }));
}

std::string written(const Placeholder& placeholder) {
  return placeholder.name.empty() ? fmt::format("{{{}}}", placeholder.what)
                                  : fmt::format("{{{}:{}}}", placeholder.what, placeholder.name);
}

/// The one of that name, or the first.
template <class List>
auto find(const List& listeners, std::string_view name) {
  return std::find_if(listeners.begin(), listeners.end(),
                      [&](const auto& each) { return name.empty() || each.name == name; });
}

/// "127.0.0.1:80" → "80"; nothing for a Unix socket.
std::optional<std::string> port_of(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (address.starts_with("unix:") || colon == std::string::npos) return std::nullopt;
  return address.substr(colon + 1);
}

}  // namespace

bool names_descriptor(const std::vector<std::string>& arguments) {
  bool found = false;
  for_each_placeholder(arguments, [&](const Placeholder& each) { found = found || each.what == "fd"; });
  return found;
}

void check_placeholders(const std::vector<std::string>& arguments, const std::vector<NamedAddress>& listen,
                        bool has_descriptors) {
  for_each_placeholder(arguments, [&](const Placeholder& each) {
    if (each.what == "worker") return;
    const auto refuse = [&](const std::string& why) {
      throw UsageError(fmt::format("the command's {}: {}", written(each), why));
    };
    if (each.what == "fd" && !has_descriptors)
      refuse("in this dialect listeners come by a message, and have no number yet (--dialect listen-fds)");
    if (listen.empty()) refuse("there is no listener before a worker asks for it (-l or -p names one)");
    const auto listener = find(listen, each.name);
    if (listener == listen.end()) refuse(fmt::format("no listener is named {0} (--listen {0}=…)", each.name));
    if (each.what == "port" && !std::holds_alternative<TcpAddress>(listener->address))
      refuse(fmt::format("{} has no port", to_string(*listener)));
  });
}

std::vector<std::string> fill_placeholders(std::vector<std::string> arguments,
                                           const std::vector<ListenerFacts>& listeners, unsigned worker) {
  for (std::string& each : arguments)
    each = filled(each, [&](const Placeholder& found) -> std::optional<std::string> {
      if (found.what == "worker") return std::to_string(worker);
      const auto listener = find(listeners, found.name);
      if (listener == listeners.end()) return std::nullopt;
      if (found.what == "port") return port_of(listener->address);
      return listener->descriptor ? std::optional(std::to_string(*listener->descriptor)) : std::nullopt;
    });
  return arguments;
}

}  // namespace baton
