// Master. From a message to the store, and from the store to an answer.
#include "master/state/wish.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

namespace baton::state {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<std::string_view, Wish::Verb>, 5> verb_names{{{"get", Wish::Verb::get},
                                                                             {"put", Wish::Verb::put},
                                                                             {"delete", Wish::Verb::remove},
                                                                             {"add", Wish::Verb::add},
                                                                             {"list", Wish::Verb::list}}};

std::string quoted(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

std::string text_member(const json::object& message, json::string_view name) {
  const json::value* const found = message.if_contains(name);
  if (found == nullptr) return {};
  if (found->is_string()) return std::string(found->get_string());
  throw Refusal(Problem::malformed, fmt::format("\"{}\" is no string", std::string_view(name)));
}

/// From `least` on.
std::optional<std::int64_t> number_member(const json::object& message, json::string_view name, std::int64_t least) {
  const json::value* const found = message.if_contains(name);
  if (found == nullptr) return std::nullopt;
  json::error_code error;
  const auto number = found->is_number() ? found->to_number<std::int64_t>(error) : 0;
  if (!found->is_number() || error || number < least)
    throw Refusal(Problem::malformed,
                  fmt::format("\"{}\" is no whole number{}", std::string_view(name), least == 0 ? " from 0 on" : ""));
  return number;
}

std::chrono::milliseconds time_to_live(std::int64_t milliseconds) {
  constexpr std::chrono::milliseconds most = std::chrono::years(100);
  if (milliseconds > most.count()) throw Refusal(Problem::malformed, "\"ttl\" is over 100 years");
  return std::chrono::milliseconds(milliseconds);
}

void take_value(Wish& wish, const json::object& message) {
  const json::value* const value = message.if_contains("value");
  if (value == nullptr) throw Refusal(Problem::malformed, "there is no \"value\" to put");
  wish.value = json::serialize(*value);
}

std::string describe_entry(std::string_view key, const Entry& entry) {
  return fmt::format(FMT_COMPILE(R"("key":{},"value":{},"version":{})"), quoted(key), entry.value, entry.version);
}

std::string describe_page(const Store::Page& page) {
  std::string entries;
  for (const auto& [key, entry] : page.entries)
    entries += fmt::format("{}{{{}}}", entries.empty() ? "" : ",", describe_entry(key, entry));
  return fmt::format(R"("entries":[{}],"more":{})", entries, page.has_more);
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

std::optional<Wish> wish_of(std::string_view verb, const json::object& message) {
  const auto* const found =
      std::find_if(verb_names.begin(), verb_names.end(), [&](const auto& each) { return each.first == verb; });
  if (found == verb_names.end()) return std::nullopt;
  Wish wish{.verb = found->second};
  wish.key = text_member(message, wish.verb == Wish::Verb::list ? "prefix" : "key");
  if (wish.verb == Wish::Verb::put) take_value(wish, message);
  if (const auto amount = number_member(message, "amount", std::numeric_limits<std::int64_t>::min()))
    wish.amount = *amount;
  if (const auto version = number_member(message, "version", 0))
    wish.condition.version = static_cast<std::uint64_t>(*version);
  if (const auto time = number_member(message, "ttl", 0)) wish.time_to_live = time_to_live(*time);
  wish.after = text_member(message, "after");
  if (const auto most = number_member(message, "limit", 0))
    wish.most = std::min(static_cast<std::size_t>(*most), Wish::most_listed);
  return wish;
}

std::string carry_out(Store& store, const Wish& wish, Moment now) {
  switch (wish.verb) {
    case Wish::Verb::get:
      return describe_entry(wish.key, store.get(wish.key, now));
    case Wish::Verb::put:
      return fmt::format(FMT_COMPILE(R"("version":{})"),
                         store.put(wish.key, wish.value, wish.condition, wish.time_to_live, now).version);
    case Wish::Verb::add: {
      const Entry& sum = store.add(wish.key, wish.amount, wish.time_to_live, now);
      return fmt::format(FMT_COMPILE(R"("value":{},"version":{})"), sum.value, sum.version);
    }
    case Wish::Verb::remove:
      return fmt::format(R"("version":{})", store.remove(wish.key, wish.condition, now));
    case Wish::Verb::list:
      break;
  }
  return describe_page(store.list(wish.key, wish.after, wish.most, now));
}

std::string describe(const Change& change) {
  if (change.entry) return describe_entry(change.key, *change.entry);
  return fmt::format(R"("key":{},"deleted":true,"version":{})", quoted(change.key), change.version);
}

std::string describe(const Refusal& refusal) {
  const std::string version =
      refusal.problem == Problem::conflict ? fmt::format(R"(,"version":{})", refusal.version) : "";
  return fmt::format(R"("code":"{}","error":{}{})", code_of(refusal.problem), quoted(refusal.what()), version);
}

}  // namespace baton::state
