// Master. From a request's text to a demand.
#include "master/control_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <optional>

namespace baton {
namespace {

namespace json = boost::json;

Reply malformed(std::string_view why) {
  return reply_with(400, false, why);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// "%2B" → "+", and "+" stays: a form would make it a space, but nobody asks for " 2" workers.
std::optional<std::string> percent_decoded(std::string_view text) {
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

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// What a client wrote, fit for a JSON string and for a person's eyes.
std::string excerpt(std::string_view text) {
  constexpr std::size_t shown = 60;
  std::string safe;
  for (const char c : text.substr(0, shown)) safe += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > shown ? safe + "…" : safe;
}

/// The parameters of one request, each given once. Every `add` says what is wrong, or nothing.
class Parameters {
 public:
  std::optional<Reply> add(std::string name, std::string value) {
    if (!is_printable(name) || !is_printable(value))
      return malformed(fmt::format("the parameter \"{}\" is not plain ASCII", excerpt(name)));
    const auto [at, is_new] = values_.emplace(std::move(name), std::move(value));
    if (is_new) return std::nullopt;
    return malformed(fmt::format("the parameter \"{}\" is given twice", excerpt(at->first)));
  }

  std::optional<Reply> add_query(std::string_view query);
  std::optional<Reply> add_body(std::string_view body);

  std::optional<std::string> take(const std::string& name) {
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
  std::map<std::string, std::string> values_;
};

std::optional<Reply> Parameters::add_query(std::string_view query) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decoded(pair.substr(0, equals));
    auto value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) return malformed("a % in the query is not followed by two hexadecimal digits");
    if (auto wrong = add(std::move(*name), std::move(*value))) return wrong;
  }
  return std::nullopt;
}

std::optional<Reply> Parameters::add_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return std::nullopt;
  json::error_code error;
  const json::value parsed = json::parse({body.data(), body.size()}, error);
  if (error || !parsed.is_object()) return malformed("the body is not a JSON object (like {\"to\":8})");
  for (const auto& [key, value] : parsed.get_object()) {
    std::string text;
    if (value.is_string())
      text = std::string(value.get_string());
    else if (value.is_int64() || value.is_uint64())
      text = json::serialize(value);
    else if (value.is_bool())
      text = value.get_bool() ? "yes" : "no";
    else
      return malformed(fmt::format("\"{}\" in the body is no string and no whole number", excerpt(key)));
    if (auto wrong = add(std::string(key), std::move(text))) return wrong;
  }
  return std::nullopt;
}

Reply no_such_path(std::string_view path) {
  std::string known;
  for (const Verb& each : verbs()) known += fmt::format("{}{} {}", known.empty() ? "" : ", ", each.method, each.path);
  return reply_with(404, false, fmt::format("there is no {} here, but there are: {}", excerpt(path), known));
}

Reply wrong_method(std::string_view method, const Verb& verb) {
  Reply reply = reply_with(405, false, fmt::format("{} wants {}, not {}", verb.path, verb.method, excerpt(method)));
  reply.allow = verb.method;
  return reply;
}

std::variant<Demand, Reply> demand_of(const Verb& verb, Parameters& parameters) {
  Demand demand;
  demand.action = verb.action;
  if (verb.action == VerbAction::scale) {
    auto amount = parameters.take("to");
    if (!amount || amount->empty())
      return malformed("the number of workers is missing (/scale?to=8, /scale?to=+2 or {\"to\":8})");
    demand.amount = std::move(*amount);
  }
  if (verb.action == VerbAction::scale || verb.action == VerbAction::reload || verb.action == VerbAction::stop) {
    const std::string wait = parameters.take("wait").value_or("yes");
    if (wait != "yes" && wait != "no") return malformed(fmt::format("wait is yes or no, not \"{}\"", excerpt(wait)));
    demand.wait = wait == "yes";
  }
  if (const auto unknown = parameters.left()) {
    const std::string known = verb.parameters.empty() ? "it takes none" : fmt::format("it takes {}", verb.parameters);
    return malformed(fmt::format("{} has no parameter \"{}\": {}", verb.path, excerpt(*unknown), known));
  }
  return demand;
}

}  // namespace

Reply reply_with(unsigned status, bool ok, std::string_view message) {
  return {status, json::serialize(json::object{{"ok", ok}, {"message", message}}), ""};
}

std::variant<Demand, Reply> understand(std::string_view method, std::string_view target, std::string_view body) {
  const std::size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  const Verb* const verb = verb_at(path);
  if (verb == nullptr) return no_such_path(path);
  if (method != verb->method) return wrong_method(method, *verb);
  Parameters parameters;
  if (auto wrong = parameters.add_query(target.substr(std::min(question + 1, target.size())))) return *wrong;
  if (auto wrong = parameters.add_body(body)) return *wrong;
  return demand_of(*verb, parameters);
}

}  // namespace baton
