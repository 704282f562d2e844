// Master. From a request's text to a ControlRequest.
#include "master/control/control_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <optional>

#include "common/error.hpp"
#include "common/json_text.hpp"
#include "common/units.hpp"
#include "master/control/parameters.hpp"

namespace baton {
namespace {

namespace json = boost::json;

/// What the shared state refuses is told as on the channel.
Reply malformed(const Verb& verb, const std::string& why) {
  if (verb.action < VerbAction::state_list) return reply_with(400, false, why);
  return reply_of(state::Refusal(state::Problem::malformed, why));
}

Reply no_such_path(Audience audience, std::string_view path) {
  std::string known;
  for (const Verb& each : verbs())
    if (each.is_open_to(audience)) known += fmt::format("{}{} {}", known.empty() ? "" : ", ", each.method, each.path);
  return reply_with(404, false, fmt::format("there is no {} here, but there are: {}", excerpt(path), known));
}

Reply wrong_method(std::string_view method, std::string_view path, const std::string& methods) {
  Reply reply = reply_with(405, false, fmt::format("{} wants {}, not {}", excerpt(path), methods, excerpt(method)));
  reply.allow = methods;
  return reply;
}

std::int64_t parse_amount_to_add(const std::string& text) {
  std::int64_t amount = 0;
  const std::string_view digits = std::string_view(text).substr(text.starts_with('+') ? 1 : 0);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), amount);
  if (error != std::errc() || end != digits.data() + digits.size())
    throw UsageError(fmt::format("\"{}\" is no whole number of 64 bits", excerpt(text)));
  return amount;
}

/// Levels of a message, and of a value.
constexpr std::size_t most_levels = 32;

/// A JSON value, or none that makes sense. Throws UsageError.
json::value parse_body(std::string_view body, std::size_t levels) {
  json::error_code error;
  json::value parsed = parse_json(body, error, levels);
  if (error) throw UsageError(fmt::format("the body is not JSON: {}", error.message()));
  return parsed;
}

/// What stands in the path. Throws UsageError.
std::string key_in(const Verb& verb, std::string_view path) {
  const std::size_t directory = verb.path.size() - std::string_view("KEY").size();
  auto key = percent_decoded(path.substr(directory));
  if (!key) throw UsageError("a % in the key is not followed by two hexadecimal digits");
  if (!is_utf8(*key)) throw UsageError("a key is UTF-8");  // it is told in JSON
  return std::move(*key);
}

void take_operation(ControlRequest& request, const Verb& verb, std::string_view path, Parameters& parameters,
                    std::string_view body) {
  using Action = state::Operation::Verb;
  state::Operation& operation = request.operation;
  if (verb.has_key()) operation.key = key_in(verb, path);
  switch (verb.action) {
    case VerbAction::state_put:
      operation.verb = Action::put;
      operation.value = json::serialize(parse_body(body, most_levels));
      break;
    case VerbAction::state_delete:
      operation.verb = Action::remove;
      break;
    case VerbAction::state_add:
      operation.verb = Action::add;
      if (const auto amount = parameters.take("add")) operation.amount = parse_amount_to_add(*amount);
      break;
    case VerbAction::state_list:
      operation.verb = Action::list;
      operation.key = parameters.take("prefix").value_or("");
      operation.after = parameters.take("after").value_or("");
      if (const auto most = parameters.take_number("limit", 1))
        operation.most = std::min(*most, state::Operation::most_listed);
      break;
    default:
      break;
  }
  if (verb.action == VerbAction::state_put || verb.action == VerbAction::state_delete)
    operation.condition.version = parameters.take_number("version", 0);
  const bool may_expire = verb.action == VerbAction::state_put || verb.action == VerbAction::state_add;
  const auto time = may_expire ? parameters.take("ttl") : std::nullopt;
  if (!time) return;
  operation.time_to_live = parse_duration(*time);
  if (operation.time_to_live->count() == 0) throw UsageError("a ttl is longer than nothing");
}

/// Throws UsageError.
void take_message(ControlRequest& request, std::string_view body) {
  const json::value parsed = parse_body(body, most_levels + 1);
  const json::object* const object = parsed.if_object();
  const json::value* const to = object != nullptr ? object->if_contains("to") : nullptr;
  const json::value* const message = object != nullptr ? object->if_contains("message") : nullptr;
  const auto addressee = to != nullptr ? addressee_in(*to) : std::nullopt;
  if (!addressee || message == nullptr)
    throw UsageError("the body is not of the form {\"to\":2,\"message\":…}, with a worker's number or \"all\"");
  for (const auto& [name, value] : *object)
    if (name != "to" && name != "message" && name != "timeout")
      throw UsageError(
          fmt::format(R"(a message has no member "{}": it has "to", "message", "timeout")", excerpt(name)));
  request.to = *addressee;
  request.message = *message;
  if (const json::value* const time = object->if_contains("timeout")) {
    if (!time->is_string()) throw UsageError(R"("timeout" is a time like "1s")");
    request.time_limit = parse_duration(time->get_string());
    if (request.time_limit->count() == 0) throw UsageError("\"timeout\" is longer than nothing");
  }
}

bool has_body_of_its_own(VerbAction action) {
  return action == VerbAction::send || action == VerbAction::state_put;
}

/// Throws UsageError.
ControlRequest request_of(const Verb& verb, std::string_view path, Parameters& parameters, std::string_view body) {
  ControlRequest request;
  request.action = verb.action;
  if (verb.action == VerbAction::send) take_message(request, body);
  if (verb.action >= VerbAction::state_list) take_operation(request, verb, path, parameters, body);
  if (verb.action == VerbAction::state_list) request.watch = parameters.take_choice("watch", "no");
  if (verb.action == VerbAction::scale) {
    auto amount = parameters.take("to");
    if (!amount || amount->empty())
      throw UsageError("the number of workers is missing (/scale?to=8, /scale?to=+2 or {\"to\":8})");
    request.amount = std::move(*amount);
  }
  if (verb.action == VerbAction::scale || verb.action == VerbAction::reload || verb.action == VerbAction::stop)
    request.wait = parameters.take_choice("wait", "yes");
  if (const auto unknown = parameters.left()) {
    const std::string known = verb.parameters.empty() ? "it takes none" : fmt::format("it takes {}", verb.parameters);
    throw UsageError(fmt::format("{} has no parameter \"{}\": {}", verb.path, excerpt(*unknown), known));
  }
  return request;
}

}  // namespace

std::variant<ControlRequest, Reply> parse_request(Audience audience, std::string_view method, std::string_view target,
                                                  std::string_view body) {
  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  const Verb* const verb = verb_at(method, path);
  if (verb == nullptr) {
    const std::string methods = methods_at(path);
    return methods.empty() ? no_such_path(audience, path) : wrong_method(method, path, methods);
  }
  if (!verb->is_open_to(audience))
    return reply_with(
        403, false,
        fmt::format("{} is not for workers: this is the workers' control socket, and the owner's is another", path));
  try {
    Parameters parameters;
    parameters.add_query(target.substr(std::min(question + 1, target.size())));
    if (!has_body_of_its_own(verb->action)) parameters.add_body(body);
    return request_of(*verb, path, parameters, body);
  } catch (const UsageError& error) {
    return malformed(*verb, error.what());
  }
}

}  // namespace baton
