// Master. Passing messages on, and answering.
#include "master/messages/message_bus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "common/error.hpp"
#include "common/text.hpp"

namespace baton {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds usual_time_limit = 5s;
constexpr std::chrono::milliseconds longest_time_limit = 1h;

std::string in_quotes(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

/// {"baton":"message","from":2,"message":…}, with an id where a reply is wanted.
std::string message_line(std::string_view from, std::string_view message, std::optional<std::uint64_t> id) {
  std::string line = R"({"baton":"message",)";
  if (id) append(line, {R"("id":)", fmt::format_int(*id).str(), ","});
  append(line, {R"("from":)", from, R"(,"message":)", message, "}"});
  return line;
}

std::optional<std::int64_t> whole_member(const json::object& said, json::string_view name) {
  const json::value* const found = said.if_contains(name);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  json::error_code error;
  const auto number = found->to_number<std::int64_t>(error);
  return error ? std::nullopt : std::optional(number);
}

/// {"baton":"state","id":2, as far as it is the same for every answer.
std::string reply_line(std::optional<std::int64_t> id, std::string_view kind) {
  std::string line;
  append(line, {R"({"baton":")", kind, R"(",)"});
  if (id) append(line, {R"("id":)", fmt::format_int(*id).str(), ","});
  return line;
}

std::string too_long(std::size_t size) {
  return fmt::format("a message of {} bytes is longer than {} bytes (put it where both reach it, and send where)", size,
                     MessageBus::longest_message);
}

}  // namespace

void MessageBus::take(int sender, const json::object& said, TimePoint now, state::Moment today) {
  const json::string_view verb = said.at("baton").get_string();
  const Id id = whole_member(said, "id");
  if (said.contains("id") && !id)
    return refuse(sender, id, "malformed", "\"id\" is no whole number of 64 bits, by which an answer could be told");
  if (verb == "send") return pass_on(sender, said, now);
  if (verb == "reply") return take_reply(sender, said);
  if (verb == "watch" || verb == "unwatch") return watch(sender, verb, said, id);
  try {
    if (const auto operation = state::operation_of(verb, said)) return ask_store(sender, *operation, id, today);
  } catch (const state::Refusal& refusal) {
    return reply(sender, id, "error", state::describe(refusal));
  }
  refuse(sender, id, "malformed",
         fmt::format("\"{}\" is nothing that can be asked: there are send, reply, get, put, delete, add, list, watch "
                     "and unwatch",
                     std::string_view(verb)));
}

void MessageBus::pass_on(int sender, const json::object& said, TimePoint now) {
  const Id id = whole_member(said, "id");
  const json::value* const to = said.if_contains("to");
  const json::value* const message = said.if_contains("message");
  const auto addressee = to != nullptr ? addressee_in(*to) : std::nullopt;
  if (!addressee)
    return refuse(sender, id, "malformed", R"("to" is the number of a worker, "all", "others" or "master")");
  if (message == nullptr) return refuse(sender, id, "malformed", R"(there is no "message")");
  if (addressee->who == Addressee::Who::master) {
    if (id) return refuse(sender, id, "deaf", "the master replies to nobody: leave the id out");
    return transport_.hear(sender, *message);
  }
  const std::string text = json::serialize(*message);
  if (text.size() > longest_message) return refuse(sender, id, "too_large", too_long(text.size()));
  if (id) return request(sender, *addressee, text, said, id, now);
  const std::vector<int> ids = recipients(*addressee, sender);
  if (ids.empty() && addressee->who == Addressee::Who::worker)
    return refuse(sender, id, "gone", fmt::format("there is no worker {}", addressee->number));
  const Outcomes outcomes =
      deliver(ids, message_line(std::to_string(transport_.number_of(sender)), text, std::nullopt));
  if (!outcomes.failures.empty()) refuse(sender, id, outcomes.code, outcomes.failures);
}

void MessageBus::request(int sender, const Addressee& to, std::string_view message, const json::object& said, Id id,
                         TimePoint now) {
  if (to.who != Addressee::Who::worker) return refuse(sender, id, "malformed", "a request is for one worker");
  const auto asked = transport_.holder(to.number);
  if (!asked) return refuse(sender, id, "gone", fmt::format("there is no worker {}", to.number));
  const auto wanted = whole_member(said, "timeout");
  if (said.contains("timeout") && (!wanted || *wanted < 1 || *wanted > longest_time_limit.count()))
    return refuse(sender, id, "malformed",
                  fmt::format(R"("timeout" is a number of milliseconds, 1 to {})", longest_time_limit.count()));
  const auto time_limit = wanted ? std::chrono::milliseconds(*wanted) : usual_time_limit;
  const auto number = requests_.open(sender, *asked, now + time_limit, [=, this](const OpenRequests::Reply& given) {
    if (given.message)
      return reply(sender, id, "reply", fmt::format(R"("from":{},"message":{})", to.number, *given.message));
    refuse(sender, id, given.problem,
           given.problem == "late" ? fmt::format("worker {} did not reply within {} ms", to.number, time_limit.count())
                                   : fmt::format("worker {} has ended without a reply", to.number));
  });
  if (!number)
    return refuse(sender, id, "too_many",
                  fmt::format("{} requests of yours wait for a reply already", OpenRequests::most_of_one));
  const auto delivery =
      transport_.deliver(*asked, message_line(std::to_string(transport_.number_of(sender)), message, number));
  if (delivery == Transport::Delivery::done) return;
  requests_.drop(*number);
  refuse(sender, id, code_of(delivery), failure(*asked, delivery));
}

void MessageBus::take_reply(int sender, const json::object& said) {
  const Id number = whole_member(said, "id");
  const json::value* const message = said.if_contains("message");
  if (!number || message == nullptr)
    return refuse(sender, number, "malformed",
                  R"(a reply has the "id" of the message that it answers, and a "message")");
  std::string text = json::serialize(*message);
  if (text.size() > longest_message) return refuse(sender, number, "too_large", too_long(text.size()));
  if (!requests_.answer(sender, static_cast<std::uint64_t>(*number), std::move(text)))
    refuse(sender, number, "late", "nobody waits for this reply, or not any more");
}

void MessageBus::watch(int sender, std::string_view verb, const json::object& said, Id id) {
  const json::value* const given = said.if_contains("prefix");
  if (given != nullptr && !given->is_string()) return refuse(sender, id, "malformed", "\"prefix\" is no string");
  const std::string prefix = given != nullptr ? std::string(given->get_string()) : "";
  std::set<std::string>& prefixes = watches_[sender];
  if (verb == "unwatch") {
    prefixes.erase(prefix);
  } else if (prefixes.size() >= most_watches && !prefixes.contains(prefix)) {
    return refuse(sender, id, "too_many", fmt::format("you have {} watches already", most_watches));
  } else {
    prefixes.insert(prefix);
  }
  reply(sender, id, "state", fmt::format(R"("prefix":{},"watched":{})", in_quotes(prefix), verb == "watch"));
}

void MessageBus::ask_store(int sender, const state::Operation& operation, Id id, state::Moment today) {
  std::string line = reply_line(id, "state");
  state::carry_out(store_, operation, today, line);
  line += '}';
  if (id) static_cast<void>(transport_.deliver(sender, line));
}

void MessageBus::send(const Addressee& to, const json::value& message,
                      std::optional<std::chrono::milliseconds> time_limit, TimePoint now, const Done& done) {
  if (to.who == Addressee::Who::master) throw UsageError("a message is for workers: a number, or all");
  const std::string text = json::serialize(message);
  if (text.size() > longest_message) return done({false, too_long(text.size()), {}, "too_large"});
  const std::vector<int> ids = recipients(to, std::nullopt);
  if (ids.empty())
    return done(
        {false,
         to.who == Addressee::Who::worker ? fmt::format("there is no worker {}", to.number) : "there are no workers",
         {},
         "gone"});
  if (!time_limit) {
    const Outcomes outcomes = deliver(ids, message_line(R"("master")", text, std::nullopt));
    const std::string had = fmt::format("{} worker{} got it", outcomes.delivered, outcomes.delivered == 1 ? "" : "s");
    if (outcomes.failures.empty()) return done({true, had});
    return done({false, fmt::format("{}; {}", outcomes.failures, had), {}, outcomes.code});
  }
  if (to.who != Addressee::Who::worker) throw UsageError("one worker can be asked for a reply, not all of them");
  if (*time_limit > longest_time_limit) throw UsageError("the time limit is longer than an hour");
  const int asked = ids.front();
  const unsigned number = to.number;
  const auto token = requests_.open(0, asked, now + *time_limit, [=](const OpenRequests::Reply& given) {
    if (given.message) return done({true, fmt::format("worker {} replied", number), *given.message});
    const bool is_late = given.problem == "late";
    done({false,
          is_late ? fmt::format("worker {} did not reply within {} ms", number, time_limit->count())
                  : fmt::format("worker {} has ended without a reply", number),
          {},
          is_late ? "late" : "gone"});
  });
  if (!token)
    return done(
        {false, fmt::format("{} requests wait for a reply already", OpenRequests::most_of_one), {}, "too_many"});
  const auto delivery = transport_.deliver(asked, message_line(R"("master")", text, token));
  if (delivery == Transport::Delivery::done) return;
  requests_.drop(*token);
  done({false, failure(asked, delivery), {}, std::string(code_of(delivery))});
}

void MessageBus::tell(const state::Change& change) {
  std::string line;
  for (auto& [id, prefixes] : watches_) {
    const bool hears = std::any_of(prefixes.begin(), prefixes.end(),
                                   [&](const std::string& each) { return change.key.starts_with(each); });
    if (!hears) continue;
    if (line.empty()) line = fmt::format(R"({{"baton":"changed",{}}})", state::describe(change));
    // Whoever has missed one can't rely on the others: it is to learn that, and to look for itself.
    if (transport_.deliver(id, line) == Transport::Delivery::done) continue;
    prefixes.clear();
    behind_.insert(id);
  }
}

void MessageBus::make_up(int id) {
  if (behind_.erase(id) > 0)
    refuse(id, std::nullopt, "full", "you did not read, and missed changes: your watches have ended");
}

void MessageBus::forget(int id) {
  watches_.erase(id);
  behind_.erase(id);
  requests_.forget(id);
}

void MessageBus::refuse(int sender, Id id, std::string_view code, std::string_view why) {
  reply(sender, id, "error", fmt::format(R"("code":"{}","error":{})", code, in_quotes(why)));
}

void MessageBus::reply(int sender, Id id, std::string_view kind, std::string_view members) {
  std::string line = reply_line(id, kind);
  append(line, {members, "}"});
  static_cast<void>(transport_.deliver(sender, line));
}

std::vector<int> MessageBus::recipients(const Addressee& to, std::optional<int> sender) const {
  if (to.who == Addressee::Who::worker) {
    const auto holder = transport_.holder(to.number);
    return holder ? std::vector<int>{*holder} : std::vector<int>{};
  }
  std::vector<int> ids = transport_.holders();
  if (to.who == Addressee::Who::others && sender) std::erase(ids, *sender);
  return ids;
}

MessageBus::Outcomes MessageBus::deliver(const std::vector<int>& ids, std::string_view line) {
  Outcomes outcomes;
  for (const int id : ids) {
    const auto delivery = transport_.deliver(id, line);
    if (delivery == Transport::Delivery::done) {
      ++outcomes.delivered;
      continue;
    }
    if (outcomes.code.empty()) outcomes.code = code_of(delivery);
    outcomes.failures += (outcomes.failures.empty() ? "" : "; ") + failure(id, delivery);
  }
  return outcomes;
}

std::string_view MessageBus::code_of(Transport::Delivery delivery) {
  switch (delivery) {
    case Transport::Delivery::full:
      return "full";
    case Transport::Delivery::deaf:
      return "deaf";
    case Transport::Delivery::gone:
    case Transport::Delivery::done:
      break;
  }
  return "gone";
}

std::string MessageBus::failure(int id, Transport::Delivery delivery) const {
  const unsigned number = transport_.number_of(id);
  switch (delivery) {
    case Transport::Delivery::full:
      return fmt::format("worker {} does not read its channel: 8 MiB wait for it", number);
    case Transport::Delivery::deaf:
      return fmt::format("worker {} takes no messages: it is baton's own, or has not said a word on its channel",
                         number);
    case Transport::Delivery::gone:
    case Transport::Delivery::done:
      break;
  }
  return fmt::format("worker {} has closed its channel", number);
}

}  // namespace baton
