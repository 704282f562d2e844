// Interop tests. Every recipe of docs/recipes.md through a worker's whole life, with the real programs.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "tests/interop/peer.hpp"
#include "tests/interop/recipes/recipe.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/ports.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton;
using namespace baton::test;

namespace {

void prepare(const Recipe& recipe, const Directory& directory) {
  write_files(recipe, directory);
  for (const std::string& each : recipe.preparations) {
    const std::vector<std::string> quick{"npm_config_prefer_offline=true", "npm_config_audit=false",
                                         "npm_config_fund=false", "npm_config_update_notifier=false"};
    Program done({{"sh", "-c", fmt::format("cd '{}' && {}", directory / "", each)}, quick, {}, {}});
    CAPTURE(each);
    REQUIRE(done.try_wait_for_end(Deadline(std::chrono::seconds(240))).value_or("too late") == "code 0");
  }
}

/// The page leaves the port to the default, or names it.
std::vector<std::string> arguments_of(const Recipe& recipe, const std::string& port) {
  std::vector<std::string> arguments = recipe.arguments;
  bool names_port = false;
  for (const std::string& each : recipe.arguments) names_port = names_port || each.find(port) != std::string::npos;
  for (const Recipe::File& each : recipe.files) names_port = names_port || each.text.find(port) != std::string::npos;
  arguments.insert(arguments.begin(), {"-w", "2"});
  if (!names_port) arguments.insert(arguments.begin(), {"-l", "127.0.0.1:" + port});
  const bool has_dialect = std::find(arguments.begin(), arguments.end(), "--dialect") != arguments.end();
  // As baton would choose; the harness can't know that such a worker's listen() says where.
  if (!has_dialect)
    arguments.insert(arguments.begin(), {"--dialect", recipe.program() == "node" ? "node-cluster" : "auto"});
  return arguments;
}

enum class Losses { none, resets };

void check_losses(const Tally& tally, Losses losses, std::uint64_t most_resets) {
  CAPTURE(tally);
  if (losses == Losses::none) CHECK(tally.failed() == 0);
  if (losses == Losses::resets) CHECK(tally.failed() == tally.count(Fate::reset) + tally.count(Fate::empty));
  CHECK(tally.failed() <= most_resets);
}

/// Start, reload under load, a worker killed under load, one more, stop. Some programs reset what they have just
/// accepted when they stop; the page says which.
void live_through(const std::string& title, Losses losses = Losses::none) {
  CAPTURE(title);
  const std::string port = std::to_string(free_ports(1));
  const Recipe recipe = recipe_named(title, port);
  if (!is_installed(recipe.program())) return;
  const Directory directory;
  prepare(recipe, directory);
  Baton baton(arguments_of(recipe, port), {{}, {}, [&] { static_cast<void>(::chdir((directory / "").c_str())); }});
  const auto first = baton.pids();
  const std::string address = "127.0.0.1:" + port;
  CHECK(answering_pids(address, 2).size() == 2);

  Traffic prompt(address, Connections::fresh, 4);
  Traffic late(address, Connections::late, 8);
  for (Traffic* each : {&prompt, &late}) each->wait_for_answers(20);
  reload(baton);
  for (Traffic* each : {&prompt, &late}) each->wait_for_answers(20);
  // One for each client and each worker that leaves.
  check_losses(prompt.stop(), losses, 8);
  check_losses(late.stop(), losses, 16);
  for (const pid_t each : first) CHECK(becomes_true([&] { return !exists(each); }));

  const Worker killed{1, baton.latest().at(1)};
  Traffic mourning(address, Connections::fresh, 4);
  mourning.wait_for_answers(20);
  signal_process(open_pidfd(killed.pid), SIGKILL);
  baton.wait_for_successor(killed);
  mourning.wait_for_answers(20);
  CHECK(mourning.stop().count(Fate::refused) == 0);

  baton.signal(SIGTTIN);
  baton.wait_for("scaled: 3 workers are ready");
  CHECK(answering_pids(address, 3).size() == 3);
  CHECK(baton.stop(SIGTERM) == "code 0");
}

}  // namespace

TEST_CASE("recipe: gunicorn") {
  live_through("gunicorn");
}
TEST_CASE("recipe: uvicorn") {
  live_through("uvicorn", Losses::resets);
}
TEST_CASE("recipe: uvicorn, without a reset") {
  live_through("uvicorn, without a reset");
}
TEST_CASE("recipe: nginx") {
  live_through("nginx", Losses::resets);
}
TEST_CASE("recipe: Puma") {
  live_through("Puma");
}
TEST_CASE("recipe: Python, without a framework") {
  live_through("Python, without a framework");
}
TEST_CASE("recipe: Perl, written for Server::Starter") {
  live_through("Perl, written for Server::Starter");
}
TEST_CASE("recipe: Node") {
  live_through("Node");
}
TEST_CASE("recipe: Node, written for cluster") {
  live_through("Node, written for cluster");
}
TEST_CASE("recipe: Express", "[fetches]") {
  live_through("Express");
}
TEST_CASE("recipe: Node, over child_process") {
  live_through("Node, over child_process");
}

TEST_CASE("the page has no recipe that is not tested") {
  std::set<std::string> untested;
  for (const Recipe& each : recipes(read_file(BATON_SOURCE_DIR "/docs/recipes.md"), "1337"))
    untested.insert(each.title);
  const std::string source = read_file(__FILE__);
  std::erase_if(untested, [&](const std::string& each) { return source.find('"' + each + '"') != std::string::npos; });
  CHECK(untested == std::set<std::string>{});
}
