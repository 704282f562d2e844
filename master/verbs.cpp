// Master and its clients. The table, and its forms.
#include "master/verbs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace baton {
namespace {

constexpr std::array<Verb, 6> table{{
    {VerbAction::list, "GET", "/", "", "this table", "", ""},
    {VerbAction::status, "GET", "/status", "", "the workers, the listeners and what is going on", "status", ""},
    {VerbAction::scale, "POST", "/scale", "to=8, to=+2 or to=-1; wait=no", "change the number of workers", "scale",
     "AMOUNT"},
    {VerbAction::reload, "POST", "/reload", "wait=no",
     "replace every worker, one after the other, under a new configuration", "reload", ""},
    {VerbAction::stop, "POST", "/stop", "wait=no", "let the workers finish, then end", "stop", ""},
    {VerbAction::events, "GET", "/events", "", "what happens from now on, one JSON object a line", "events", ""},
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

const Verb* verb_at(std::string_view path) {
  return find([path](const Verb& each) { return each.path == path; });
}

const Verb* verb_of_command(std::string_view command) {
  return find([command](const Verb& each) { return !command.empty() && each.command == command; });
}

std::string verbs_json() {
  boost::json::array all;
  for (const Verb& each : table)
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
