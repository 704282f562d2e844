// Client. The flags of each command.
#include "master/client/client_arguments.hpp"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <sstream>
#include <string_view>

#include "common/error.hpp"
#include "common/json_text.hpp"
#include "common/settings.hpp"
#include "common/units.hpp"
#include "master/control/addressee.hpp"

namespace baton {
namespace {

namespace json = boost::json;

bool is_amount(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_command_with_end(VerbAction action) {
  return action == VerbAction::scale || action == VerbAction::reload || action == VerbAction::stop;
}

bool is_message(VerbAction action) {
  return action == VerbAction::send;
}

/// "WORKER JSON" → its words.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::istringstream stream{std::string(text)};
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// What is sent, so that a slip is found before the master is asked.
std::string message_body(const std::vector<std::string>& arguments, const std::string& time_limit) {
  const std::string& to = arguments.at(0);
  const auto addressee = parse_addressee(to);
  if (!addressee || addressee->who == Addressee::Who::master || addressee->who == Addressee::Who::others)
    throw UsageError(fmt::format(R"("{}" is no worker's number, and not "all")", to));
  json::error_code error;
  const json::value message = parse_json(arguments.at(1), error);
  if (error)
    throw UsageError(fmt::format(R"("{}" is not JSON: {} (a text has quotation marks: '"hello"'))", arguments.at(1),
                                 error.message()));
  json::object body{{"to", to}, {"message", message}};
  if (time_limit.empty()) return json::serialize(body);
  static_cast<void>(parse_duration(time_limit));
  body["timeout"] = time_limit;
  return json::serialize(body);
}

}  // namespace

ClientArguments parse_client_arguments(const std::vector<std::string>& arguments) {
  ClientArguments wanted;
  wanted.verb = verb_of_command(arguments.front());
  const Verb& verb = *wanted.verb;
  const std::string usage =
      fmt::format("baton {} [flags]{}{}", verb.command, verb.arguments.empty() ? "" : " ", verb.arguments);
  Settings settings(usage, fmt::format("Asks the baton that runs: {}.", verb.help), "baton " BATON_VERSION);
  const auto take = [](std::string& target) { return [&target](const std::string& text) { target = text; }; };
  settings.add("--control", "PATH", "Control socket of the master [found by its name]", take(wanted.control));
  settings.add("--name", "NAME", "Name of the master [the only one that runs]", take(wanted.name));
  settings.add_flag("--json", "Print what the master says as it is, in JSON", wanted.json);
  if (is_command_with_end(verb.action)) settings.add_flag("--no-wait", "Don't wait until it is done", wanted.no_wait);
  std::string time_limit;
  if (is_message(verb.action)) {
    settings.add("--timeout", "TIME", "Wait so long for the worker's reply, and print it [none is asked for]",
                 take(time_limit));
    settings.set_footer("WORKER is a number, or all. JSON is the message.");
  }
  settings.expect_arguments(words_of(verb.arguments));
  if (verb.action == VerbAction::scale)
    settings.set_footer("AMOUNT is the number of workers (8), or how many more or fewer (+2, -1).");
  settings.parse({arguments.begin() + 1, arguments.end()});
  if (is_message(verb.action)) {
    wanted.body = message_body(settings.arguments(), time_limit);
    return wanted;
  }
  if (settings.arguments().empty()) return wanted;
  wanted.amount = settings.arguments().front();
  if (!is_amount(wanted.amount))
    throw UsageError(fmt::format("\"{}\" is not a number of workers (8), and no change of it (+2, -1)", wanted.amount));
  return wanted;
}

}  // namespace baton
