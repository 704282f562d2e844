// Master. From a message to the store, and from the store to an answer.
#include "master/state/operation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "common/text.hpp"

namespace baton::state {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<std::string_view, Operation::Verb>, 5> verb_names{{{"get", Operation::Verb::get},
                                                                                  {"put", Operation::Verb::put},
                                                                                  {"delete", Operation::Verb::remove},
                                                                                  {"add", Operation::Verb::add},
                                                                                  {"list", Operation::Verb::list}}};

std::string quoted(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

std::string text_in(std::string_view name, const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  throw Refusal(Problem::malformed, fmt::format("\"{}\" is no string", name));
}

/// From `least` on.
std::int64_t number_in(std::string_view name, const json::value& value, std::int64_t least = 0) {
  json::error_code error;
  const auto number = value.is_number() ? value.to_number<std::int64_t>(error) : 0;
  if (!value.is_number() || error || number < least)
    throw Refusal(Problem::malformed,
                  fmt::format("\"{}\" is no whole number{}", name, least < 0 ? "" : fmt::format(" from {} on", least)));
  return number;
}

std::chrono::milliseconds time_to_live(std::int64_t milliseconds) {
  constexpr std::chrono::milliseconds most = std::chrono::years(100);
  if (milliseconds > most.count()) throw Refusal(Problem::malformed, "\"ttl\" is over 100 years");
  return std::chrono::milliseconds(milliseconds);
}

/// Those of other operations, and what nobody knows, are passed over.
void take_member(Operation& operation, std::string_view name, const json::value& value) {
  if (name == (operation.verb == Operation::Verb::list ? "prefix" : "key")) operation.key = text_in(name, value);
  if (name == "value" && operation.verb == Operation::Verb::put) operation.value = json::serialize(value);
  if (name == "amount") operation.amount = number_in(name, value, std::numeric_limits<std::int64_t>::min());
  if (name == "version") operation.condition.version = static_cast<std::uint64_t>(number_in(name, value));
  if (name == "ttl") operation.time_to_live = time_to_live(number_in(name, value, 1));
  if (name == "after") operation.after = text_in(name, value);
  if (name == "limit")
    operation.most = std::min(static_cast<std::size_t>(number_in(name, value, 1)), Operation::most_listed);
}

void describe_version(std::uint64_t version, std::string& text) {
  append(text, {R"("version":)", fmt::format_int(version).str()});
}

void describe_entry(std::string_view key, const Entry& entry, std::string& text) {
  append(text, {R"("key":)", quoted(key), R"(,"value":)", entry.value, ","});
  describe_version(entry.version, text);
}

void describe_page(const Store::Page& page, std::string& text) {
  text += R"("entries":[)";
  for (const auto& [key, entry] : page.entries) {
    text += text.ends_with('}') ? ",{" : "{";
    describe_entry(key, entry, text);
    text += '}';
  }
  append(text, {R"(],"more":)", page.has_more ? "true" : "false"});
}

std::string_view code_of(Problem problem) {
  switch (problem) {
    case Problem::missing:
      return "missing";
    case Problem::conflict:
      return "conflict";
    case Problem::malformed:
      return "malformed";
    case Problem::too_large:
      return "too_large";
    case Problem::broken:
      break;
  }
  return "broken";
}

}  // namespace

std::optional<Operation> operation_of(std::string_view verb, const json::object& message) {
  const auto* const found =
      std::find_if(verb_names.begin(), verb_names.end(), [&](const auto& each) { return each.first == verb; });
  if (found == verb_names.end()) return std::nullopt;
  Operation operation{.verb = found->second};
  for (const auto& [name, value] : message) take_member(operation, std::string_view(name.data(), name.size()), value);
  if (operation.verb == Operation::Verb::put && operation.value.empty())
    throw Refusal(Problem::malformed, "there is no \"value\" to put");
  return operation;
}

void carry_out(Store& store, const Operation& operation, Moment now, std::string& answer) {
  switch (operation.verb) {
    case Operation::Verb::get:
      return describe_entry(operation.key, store.get(operation.key, now), answer);
    case Operation::Verb::put:
      return describe_version(
          store.put(operation.key, operation.value, operation.condition, operation.time_to_live, now).version, answer);
    case Operation::Verb::add: {
      const Entry& sum = store.add(operation.key, operation.amount, operation.time_to_live, now);
      append(answer, {R"("value":)", sum.value, ","});
      return describe_version(sum.version, answer);
    }
    case Operation::Verb::remove:
      return describe_version(store.remove(operation.key, operation.condition, now), answer);
    case Operation::Verb::list:
      break;
  }
  describe_page(store.list(operation.key, operation.after, operation.most, now), answer);
}

std::string describe(const Change& change) {
  std::string text;
  if (change.entry)
    describe_entry(change.key, *change.entry, text);
  else
    text = fmt::format(R"("key":{},"deleted":true,"version":{})", quoted(change.key), change.version);
  return text;
}

std::string describe(const Refusal& refusal) {
  const std::string version =
      refusal.problem == Problem::conflict ? fmt::format(R"(,"version":{})", refusal.version) : "";
  return fmt::format(R"("code":"{}","error":{}{})", code_of(refusal.problem), quoted(refusal.what()), version);
}

}  // namespace baton::state
