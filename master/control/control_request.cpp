// Master. From a request's text to a ControlRequest.
#include "master/control/control_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <limits>
#include <map>
#include <optional>

#include "common/error.hpp"
#include "common/json_text.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

namespace json = boost::json;

/// What the shared state refuses is told as on the channel.
Reply malformed(const Verb& verb, const std::string& why) {
  if (verb.action < VerbAction::state_list) return reply_with(400, false, why);
  return {400, fmt::format(R"({{"ok":false,{}}})", state::describe(state::Refusal(state::Problem::malformed, why))),
          ""};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// "%2B" → "+", and "+" stays: a form would make it a space, but nobody asks for " 2" workers.
std::optional<std::string> percent_decoded(std::string_view text) {
  if (text.find('%') == std::string_view::npos) return std::string(text);
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

bool is_plain_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// What a client wrote, fit for a JSON string and for a person's eyes.
std::string excerpt(std::string_view text) {
  constexpr std::size_t shown = 60;
  std::string safe;
  for (const char c : text.substr(0, shown)) safe += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > shown ? safe + "…" : safe;
}

bool is_utf8(std::string_view text) {
  if (is_plain_ascii(text)) return true;
  json::error_code error;
  static_cast<void>(json::parse(json::serialize(json::string_view(text.data(), text.size())), error));
  return !error;
}

/// What is, or is part of, a key.
bool is_of_key(std::string_view parameter) {
  return parameter == "prefix" || parameter == "after";
}

/// The parameters of one request, each given once. Every `add` throws UsageError.
class Parameters {
 public:
  void add(std::string name, std::string value) {
    if (!is_plain_ascii(name) || !(is_of_key(name) ? is_utf8(value) : is_plain_ascii(value)))
      throw UsageError(fmt::format("the parameter \"{}\" is not plain ASCII", excerpt(name)));
    const auto [at, is_new] = values_.emplace(std::move(name), std::move(value));
    if (!is_new) throw UsageError(fmt::format("the parameter \"{}\" is given twice", excerpt(at->first)));
  }

  void add_query(std::string_view query);
  void add_body(std::string_view body);

  std::optional<std::string> take(std::string_view name) {
    const auto found = values_.find(name);
    if (found == values_.end()) return std::nullopt;
    std::string value = std::move(found->second);
    values_.erase(found);
    return value;
  }

  /// One that nobody took.
  [[nodiscard]] std::optional<std::string> left() const {
    if (values_.empty()) return std::nullopt;
    return values_.begin()->first;
  }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

void Parameters::add_query(std::string_view query) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decoded(pair.substr(0, equals));
    auto value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) throw UsageError("a % in the query is not followed by two hexadecimal digits");
    add(std::move(*name), std::move(*value));
  }
}

void Parameters::add_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
  json::error_code error;
  const json::value parsed = parse_json(body, error);
  if (error || !parsed.is_object()) throw UsageError("the body is not a JSON object (like {\"to\":8})");
  for (const auto& [key, value] : parsed.get_object()) {
    std::string text;
    if (value.is_string())
      text = std::string(value.get_string());
    else if (value.is_int64() || value.is_uint64())
      text = json::serialize(value);
    else if (value.is_bool())
      text = value.get_bool() ? "yes" : "no";
    else
      throw UsageError(fmt::format("\"{}\" in the body is no string and no whole number", excerpt(key)));
    add(std::string(key), std::move(text));
  }
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

/// A number, from `least` on, of a parameter that may be missing.
std::optional<std::uint64_t> take_number(Parameters& parameters, const std::string& name, std::uint64_t least) {
  const auto text = parameters.take(name);
  if (!text) return std::nullopt;
  return parse_count(*text, least, std::numeric_limits<std::int64_t>::max(), "a " + name);
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
      if (const auto most = take_number(parameters, "limit", 1))
        operation.most = std::min(*most, state::Operation::most_listed);
      break;
    default:
      break;
  }
  if (verb.action == VerbAction::state_put || verb.action == VerbAction::state_delete)
    operation.condition.version = take_number(parameters, "version", 0);
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

/// Yes, or no. Throws UsageError.
bool take_choice(Parameters& parameters, const std::string& name, std::string_view usual) {
  const std::string given = parameters.take(name).value_or(std::string(usual));
  if (given == "yes" || given == "no") return given == "yes";
  throw UsageError(fmt::format("{} is yes or no, not \"{}\"", name, excerpt(given)));
}

/// Throws UsageError.
ControlRequest demand_of(const Verb& verb, std::string_view path, Parameters& parameters, std::string_view body) {
  ControlRequest request;
  request.action = verb.action;
  if (verb.action == VerbAction::send) take_message(request, body);
  if (verb.action >= VerbAction::state_list) take_operation(request, verb, path, parameters, body);
  if (verb.action == VerbAction::state_list) request.watch = take_choice(parameters, "watch", "no");
  if (verb.action == VerbAction::scale) {
    auto amount = parameters.take("to");
    if (!amount || amount->empty())
      throw UsageError("the number of workers is missing (/scale?to=8, /scale?to=+2 or {\"to\":8})");
    request.amount = std::move(*amount);
  }
  if (verb.action == VerbAction::scale || verb.action == VerbAction::reload || verb.action == VerbAction::stop)
    request.wait = take_choice(parameters, "wait", "yes");
  if (const auto unknown = parameters.left()) {
    const std::string known = verb.parameters.empty() ? "it takes none" : fmt::format("it takes {}", verb.parameters);
    throw UsageError(fmt::format("{} has no parameter \"{}\": {}", verb.path, excerpt(*unknown), known));
  }
  return request;
}

}  // namespace

Reply reply_with(unsigned status, bool ok, std::string_view message) {
  return {status, json::serialize(json::object{{"ok", ok}, {"message", message}}), ""};
}

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
    return demand_of(*verb, path, parameters, body);
  } catch (const UsageError& error) {
    return malformed(*verb, error.what());
  }
}

}  // namespace baton
