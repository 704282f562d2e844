// Client. Asking the master, and showing what it says.
#include "master/client/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <functional>

#include "common/error.hpp"
#include "common/json_text.hpp"
#include "master/client/client_arguments.hpp"
#include "master/client/client_connection.hpp"
#include "master/client/client_text.hpp"
#include "master/client/find_master.hpp"
#include "master/control/verbs.hpp"
#include "master/system/terminal.hpp"

namespace baton {
namespace {

namespace json = boost::json;

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
  Client(ClientArguments wanted, std::FILE* out, std::FILE* err)
      : wanted_(std::move(wanted)), path_(find_master(wanted_.control, wanted_.name)), out_(out), err_(err) {}

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

  ClientArguments wanted_;
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
      wanted_.verb->action != VerbAction::stop && wanted_.verb->action != VerbAction::send && !wanted_.no_wait;
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
  return Client(parse_client_arguments(arguments), out, err).run();
}

}  // namespace baton
