// Master and its clients. The table, and its forms.
#include "master/control/verbs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace baton {
namespace {

constexpr std::string_view key_word = "KEY";

constexpr std::array<Verb, 12> table{{
    {VerbAction::list, "GET", "/", "", "this table", "", "", true},
    {VerbAction::status, "GET", "/status", "", "the workers, the listeners and what is going on", "status", ""},
    {VerbAction::scale, "POST", "/scale", "to=8, to=+2 or to=-1; wait=no", "change the number of workers", "scale",
     "AMOUNT"},
    {VerbAction::reload, "POST", "/reload", "wait=no",
     "replace every worker, one after the other, under a new configuration", "reload", ""},
    {VerbAction::stop, "POST", "/stop", "wait=no", "let the workers finish, then end", "stop", ""},
    {VerbAction::events, "GET", "/events", "", "what happens from now on, one JSON object a line", "events", ""},
    {VerbAction::send, "POST", "/send", "the body {\"to\":2,\"message\":…}; \"timeout\":\"1s\" asks for a reply",
     "send a worker, or all of them, a message", "send", "WORKER JSON", true},
    {VerbAction::state_list, "GET", "/state", "prefix=a/; after=a/b; limit=100; watch=yes",
     "what workers share, or its changes from now on, one JSON object a line", "", "", true},
    {VerbAction::state_get, "GET", "/state/KEY", "", "one shared value", "", "", true},
    {VerbAction::state_put, "PUT", "/state/KEY", "the body is the value; version=7; ttl=30s", "set it", "", "", true},
    {VerbAction::state_delete, "DELETE", "/state/KEY", "version=7", "delete it", "", "", true},
    {VerbAction::state_add, "POST", "/state/KEY", "add=1; ttl=30s", "add to it, and return the sum", "", "", true},
}};

template <class Matches>
const Verb* find(Matches matches) {
  const auto* const found = std::find_if(table.begin(), table.end(), matches);
  return found == table.end() ? nullptr : found;
}

}  // namespace

std::span<const Verb> verbs() {
  return table;
}

bool Verb::is_at(std::string_view asked) const {
  if (!has_key()) return asked == path;
  const std::string_view directory = path.substr(0, path.size() - key_word.size());
  return asked.starts_with(directory) && asked.size() > directory.size();
}

const Verb* verb_at(std::string_view method, std::string_view path) {
  return find([=](const Verb& each) { return each.method == method && each.is_at(path); });
}

std::string methods_at(std::string_view path) {
  std::string methods;
  for (const Verb& each : table)
    if (each.is_at(path)) methods += fmt::format("{}{}", methods.empty() ? "" : ", ", each.method);
  return methods;
}

const Verb* verb_of_command(std::string_view command) {
  return find([command](const Verb& each) { return !command.empty() && each.command == command; });
}

std::string verbs_json(Audience audience) {
  boost::json::array all;
  for (const Verb& each : table)
    if (each.is_open_to(audience))
      all.push_back(boost::json::object{
          {"method", each.method}, {"path", each.path}, {"parameters", each.parameters}, {"help", each.help}});
  return boost::json::serialize(boost::json::object{{"verbs", std::move(all)}});
}

std::string verbs_help() {
  std::string text = "Commands, to the baton that runs:\n";
  for (const Verb& each : table)
    if (!each.command.empty())
      text += fmt::format("  baton {:<14} {}\n", fmt::format("{} {}", each.command, each.arguments), each.help);
  return text;
}

std::string verbs_table_markdown() {
  std::string text = "| request | parameters | what it does | command |\n|---|---|---|---|\n";
  for (const Verb& each : table) {
    const std::string parameters = each.parameters.empty() ? "" : fmt::format("{} ", each.parameters);
    const std::string space = each.arguments.empty() ? "" : " ";
    const std::string command =
        each.command.empty() ? "" : fmt::format("`baton {}{}{}` ", each.command, space, each.arguments);
    text += fmt::format("| `{} {}` | {}| {} | {}|\n", each.method, each.path, parameters, each.help, command);
  }
  return text;
}

}  // namespace baton
