// Client. Finding the master, asking it, and showing what it says.
#include "master/client/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <functional>
#include <sstream>

#include "common/error.hpp"
#include "common/json_text.hpp"
#include "common/settings.hpp"
#include "common/units.hpp"
#include "master/client/client_connection.hpp"
#include "master/client/client_text.hpp"
#include "master/control/addressee.hpp"
#include "master/control/control_path.hpp"
#include "master/control/verbs.hpp"
#include "master/system/terminal.hpp"

namespace baton {
namespace {

namespace json = boost::json;

struct Wanted {
  const Verb* verb = nullptr;
  std::string amount;
  std::string body;  ///< of a message
  std::string control;
  std::string name;
  bool json = false;
  bool no_wait = false;
};

bool is_amount(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_command_with_end(VerbAction action) {
  return action == VerbAction::scale || action == VerbAction::reload || action == VerbAction::stop;
}

/// Also of an action whose end is not awaited.
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

Wanted parse(const std::vector<std::string>& arguments) {
  Wanted wanted;
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

std::string joined(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& each : all) text += (text.empty() ? "" : ", ") + each;
  return text;
}

std::vector<RunningMaster> all_running() {
  std::vector<RunningMaster> all;
  for (const std::string& directory : control_directories())
    for (RunningMaster& each : running_masters(directory)) all.push_back(std::move(each));
  return all;
}

std::string find_master(const Wanted& wanted) {
  if (!wanted.control.empty()) return wanted.control;
  const std::vector<RunningMaster> running = all_running();
  std::vector<RunningMaster> fitting;
  std::vector<std::string> shown;
  for (const RunningMaster& each : running) {
    const bool fits = wanted.name.empty() || each.path.ends_with(control_path("", wanted.name));
    if (fits) fitting.push_back(each);
    shown.push_back(each.pid == 0 ? each.name : fmt::format("{} (pid {})", each.name, each.pid));
  }
  if (fitting.size() == 1) return fitting.front().path;
  if (fitting.size() > 1 && wanted.name.empty())
    throw StartError(fmt::format("several batons are running: {}; --name chooses one", joined(shown)));
  if (fitting.size() > 1)
    throw StartError(fmt::format("several batons have the name \"{}\": --control chooses {} or {}", wanted.name,
                                 fitting[0].path, fitting[1].path));
  const std::string with_name = wanted.name.empty() ? "" : fmt::format(" with the name \"{}\"", wanted.name);
  const std::string others = shown.empty() ? "" : fmt::format("; there are: {}", joined(shown));
  throw StartError(fmt::format("no baton{} is running (looked in {}; --control names another socket{})", with_name,
                               joined(control_directories()), others));
}

json::object parsed(const std::string& text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_object()) throw StartError("what listens there is no master: its answer is not a JSON object");
  return value.get_object();
}

/// Gives `take` the whole lines of what came, and keeps the rest.
void take_lines(std::string& text, const std::function<void(const std::string&)>& take) {
  std::size_t begin = 0;
  for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    take(text.substr(begin, end - begin));
    begin = end + 1;
  }
  text.erase(0, begin);
}

class Client {
 public:
  Client(Wanted wanted, std::FILE* out, std::FILE* err)
      : wanted_(std::move(wanted)), path_(find_master(wanted_)), out_(out), err_(err) {}

  int run() {
    if (wanted_.verb->action == VerbAction::status) return status();
    if (wanted_.verb->action == VerbAction::events) return events();
    return command();
  }

 private:
  int status();
  int events();
  int command();

  [[nodiscard]] std::string target() const;
  void ask(ClientConnection& connection, std::string_view target) const {
    connection.ask(wanted_.verb->method, target, wanted_.body);
  }
  void follow(ClientConnection& events, ClientConnection& answer);
  void show_progress(const json::object& event);
  [[nodiscard]] int finish(ClientConnection& answer);
  void print(std::string_view text) const;

  Wanted wanted_;
  std::string path_;
  std::FILE* out_;
  std::FILE* err_;
  bool has_bar_ = false;
};

/// What a person waits for on a pipe has to come at once.
void Client::print(std::string_view text) const {
  if (std::fwrite(text.data(), 1, text.size(), out_) != text.size() || std::fflush(out_) != 0)
    throw StartError(fmt::format("can't write the output: {}", describe_errno(errno)));
}

/// Throws StartError with what the master says, unless that is one of the answers that were to be expected.
std::string whole_body(ClientConnection& answer) {
  std::string body = answer.take_body();
  const unsigned status = answer.status();
  if (status == 200 || status == 202 || status == 409) return body;
  throw StartError(member_text(parsed(body), "message"));
}

int Client::status() {
  ClientConnection answer(path_);
  ask(answer, wanted_.verb->path);
  while (!answer.is_done()) answer.receive_soon();
  const std::string body = whole_body(answer);
  print(wanted_.json ? body : status_text(parsed(body), wants_colours(out_)));
  return EXIT_SUCCESS;
}

int Client::events() {
  ClientConnection connection(path_);
  ask(connection, wanted_.verb->path);
  while (!connection.has_header()) connection.receive_soon();
  if (connection.status() != 200) {
    while (!connection.is_done()) connection.receive_soon();
    whole_body(connection);
  }
  std::string text;
  for (;;) {
    text += connection.take_body();
    take_lines(text, [this](const std::string& line) { print(wanted_.json ? line + "\n" : event_text(parsed(line))); });
    if (connection.is_done()) return EXIT_SUCCESS;
    connection.receive();
  }
}

std::string Client::target() const {
  std::string parameters;
  // In a query "+" could be taken for a space by what stands between.
  if (!wanted_.amount.empty())
    parameters = wanted_.amount.front() == '+' ? "to=%2B" + wanted_.amount.substr(1) : "to=" + wanted_.amount;
  if (wanted_.no_wait) parameters += parameters.empty() ? "wait=no" : "&wait=no";
  return fmt::format("{}{}{}", wanted_.verb->path, parameters.empty() ? "" : "?", parameters);
}

int Client::command() {
  const bool has_progress =
      wanted_.verb->action != VerbAction::stop && !is_message(wanted_.verb->action) && !wanted_.no_wait;
  ClientConnection answer(path_);
  if (!has_progress) {
    ask(answer, target());
    return finish(answer);
  }
  // First heard, then asked: so the first step is not missed.
  ClientConnection events(path_);
  events.ask("GET", "/events");
  while (!events.has_header()) events.receive_soon();
  ask(answer, target());
  if (events.status() == 200) follow(events, answer);
  return finish(answer);
}

/// Without the events there is no progress to show, but there may be an answer.
bool try_receive(ClientConnection& events) {
  try {
    events.receive();
    return true;
  } catch (const StartError&) {
    return false;
  }
}

/// Until the answer begins, or there is nothing more to show.
void Client::follow(ClientConnection& events, ClientConnection& answer) {
  std::string text;
  while (!events.is_done()) {
    text += events.take_body();
    take_lines(text, [this](const std::string& line) { show_progress(parsed(line)); });
    std::array<pollfd, 2> waiting{{{events.socket().get(), POLLIN, 0}, {answer.socket().get(), POLLIN, 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) == -1 && errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "poll");
    if (waiting[0].revents == 0 && waiting[1].revents == 0) continue;
    if (waiting[0].revents == 0 || !try_receive(events)) break;
  }
  if (has_bar_) fmt::print(err_, "\r\033[K");
}

void Client::show_progress(const json::object& event) {
  if (member_text(event, "event") != fmt::format("{}_progress", wanted_.verb->command)) return;
  const std::int64_t done = member_number(event, "done", 0);
  const std::int64_t of = member_number(event, "of", 0);
  has_bar_ = ::isatty(::fileno(err_)) == 1;
  if (has_bar_)
    fmt::print(err_, "\r\033[K{}", bar_text(done, of));
  else
    fmt::print(err_, "{} of {} workers\n", done, of);
  static_cast<void>(std::fflush(err_));
}

int Client::finish(ClientConnection& answer) {
  while (!answer.is_done()) answer.receive();
  const std::string body = whole_body(answer);
  const json::object said = parsed(body);
  const json::value* const reply = said.if_contains("reply");
  print(wanted_.json ? body : (reply != nullptr ? json::serialize(*reply) : member_text(said, "message")) + "\n");
  return answer.status() == 409 ? EXIT_FAILURE : EXIT_SUCCESS;
}

}  // namespace

bool is_client_command(std::string_view word) {
  return verb_of_command(word) != nullptr;
}

int run_client(const std::vector<std::string>& arguments) {
  return run_client(arguments, stdout, stderr);
}

int run_client(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err) {
  return Client(parse(arguments), out, err).run();
}

}  // namespace baton
