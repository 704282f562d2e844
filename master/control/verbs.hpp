// Master and its clients. What can be asked of a running master over the control socket: the one table that the server
// dispatches from, that `GET /` answers, and that the help and docs/control.md are made from. Owns nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace baton {

enum class VerbAction : std::uint8_t {
  list,
  status,
  scale,
  reload,
  stop,
  events,
  send,
  state_list,
  state_get,
  state_put,
  state_delete,
  state_add,
};

/// Who a control socket is for: workers may ask for less, on a socket of their own.
enum class Audience : std::uint8_t { owner, workers };

struct Verb {
  VerbAction action;
  std::string_view method;
  std::string_view path;        ///< at its end "KEY" stands for a key
  std::string_view parameters;  ///< of the request, as a person reads them; empty: none
  std::string_view help;
  std::string_view command;     ///< of `baton`; empty: none
  std::string_view arguments;   ///< of the command
  bool is_for_workers = false;  ///< they can ask for it on their own control socket, and for nothing else

  [[nodiscard]] bool is_open_to(Audience audience) const { return audience == Audience::owner || is_for_workers; }
  [[nodiscard]] bool has_key() const { return path.ends_with("/KEY"); }
  [[nodiscard]] bool is_at(std::string_view asked) const;
};

std::span<const Verb> verbs();

/// Nothing where there is no such method, path or command.
const Verb* verb_at(std::string_view method, std::string_view path);
/// Those of a path, by comma; empty where there is no such path.
std::string methods_at(std::string_view path);
const Verb* verb_of_command(std::string_view command);

/// What `GET /` answers.
std::string verbs_json(Audience audience);
/// A section for `baton --help`, with a newline at its end.
std::string verbs_help();
/// As in docs/control.md, with a newline at its end.
std::string verbs_table_markdown();

}  // namespace baton
