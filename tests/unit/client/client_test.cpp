// Unit tests of the control socket's clients: what they print, ask and complain of.
#include "master/client/client.hpp"

#include <atomic>
#include <thread>

#include "common/settings.hpp"
#include "master/client/client_text.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/client/client_runner.hpp"
#include "tests/unit/control/control_server.hpp"

namespace baton::test {

TEST_CASE("client: status, for people and for programs") {
  const NoLeak no_leak;
  ControlServer server;
  server.commands.shown = sample_status();
  const ClientResult shown = run_with_path(server, {"status"});
  CHECK(shown.code == 0);
  CHECK(shown.out == status_text(sample_status(), false));
  CHECK(shown.err.empty());
  const ClientResult raw = run_with_path(server, {"status", "--json"});
  CHECK(boost::json::parse(raw.out) == sample_status());
  CHECK(raw.out.ends_with("}\n"));
}

TEST_CASE("client: scale shows its progress and its outcome") {
  const NoLeak no_leak;
  ControlServer server;
  server.commands.on_ask = [&](const std::string& what, const Done& done) {
    server.commands.events().publish("scale_progress", {{"done", 1}, {"of", 2}});
    server.commands.events().publish("reload_progress", {{"done", 5}, {"of", 6}});
    server.commands.events().publish("scale_progress", {{"done", 2}, {"of", 2}});
    server.settle();
    done({true, what});
  };
  for (const std::string amount : {"8", "+2", "-1"}) {
    const ClientResult scaled = run_with_path(server, {"scale", amount});
    CHECK(scaled.refusal.empty());
    CHECK(scaled.code == 0);
    CHECK(scaled.out == "scale " + amount + "\n");
    CHECK(scaled.err == "1 of 2 workers\n2 of 2 workers\n");
  }
  CHECK(run_with_path(server, {"scale", "8", "--json"}).out == "{\"ok\":true,\"message\":\"scale 8\"}\n");
}

TEST_CASE("client: a command that fails is an exit code, with the master's reason") {
  const NoLeak no_leak;
  ControlServer server;
  server.commands.on_ask = [&](const std::string&, const Done& done) { done({false, "reload 3: failed: no"}); };
  const ClientResult failed = run_with_path(server, {"reload"});
  CHECK(failed.code == 1);
  CHECK(failed.out == "reload 3: failed: no\n");
  const ClientResult stopped = run_with_path(server, {"stop", "--json"});
  CHECK(stopped.code == 1);
  CHECK(stopped.out == "{\"ok\":false,\"message\":\"reload 3: failed: no\"}\n");
}

TEST_CASE("client: with --no-wait it only asks") {
  ControlServer server;
  const ClientResult scaled = run_with_path(server, {"scale", "--no-wait", "+2"});
  CHECK(scaled.code == 0);
  CHECK(scaled.out == "accepted\n");
  CHECK(run_with_path(server, {"reload", "--no-wait"}).out == "accepted\n");
  CHECK(run_with_path(server, {"stop", "--no-wait"}).out == "accepted\n");
  REQUIRE(server.commands.asked.size() == 3);
  CHECK(server.commands.asked.front().what == "scale +2");
}

TEST_CASE("client: stop is answered when the master is done") {
  const NoLeak no_leak;
  ControlServer server;
  server.commands.on_ask = [&](const std::string&, const Done& done) {
    done({true, "stopped"});
    server.control->close();
  };
  const ClientResult stopped = run_with_path(server, {"stop"});
  CHECK(stopped.code == 0);
  CHECK(stopped.out == "stopped\n");
}

TEST_CASE("client: a master that goes away in the middle is named as the cause") {
  const NoLeak no_leak;
  for (const std::string command : {"stop", "reload"}) {
    ControlServer server;
    server.commands.on_ask = [&](const std::string&, const Done&) { server.control.reset(); };
    const ClientResult gone = run_with_path(server, {command});
    CHECK(gone.code == 1);
    CHECK(gone.refusal == "the master went away before it answered");
  }
}

TEST_CASE("client: events are lines, until the master ends") {
  const NoLeak no_leak;
  for (const bool raw : {false, true}) {
    ControlServer server;
    std::vector<std::string> arguments{"events", "--control", server.path};
    if (raw) arguments.emplace_back("--json");
    ClientResult result;
    std::atomic<bool> done = false;
    std::atomic<bool> published = false;
    std::thread client([&] {
      result = ran(arguments);
      done = true;
    });
    server.run_until([&] {
      if (!published && server.commands.events().has_subscribers()) {
        server.commands.events().publish("worker_ready", {{"message", "worker 2 pid 77 ready"}});
        server.commands.events().publish("stopping", {});
        published = true;
        server.control->close();
      }
      return done.load();
    });
    client.join();
    CAPTURE(result.err);
    CHECK(result.code == 0);
    CHECK(count_of(result.out, "\n") == 2);
    CHECK(contains(result.out, raw ? "\"event\":\"worker_ready\"" : "Z worker_ready worker 2 pid 77 ready\n"));
  }
}

TEST_CASE("client: what is wrong on the command line is said before anybody is asked") {
  const auto refused = [](const std::vector<std::string>& arguments) {
    const ClientResult result = ran(arguments);
    CHECK(result.code == 2);
    return result.refusal;
  };
  CHECK(refused({"scale"}) == "AMOUNT is missing (usage: baton scale [flags] AMOUNT)");
  CHECK(contains(refused({"scale", "eight"}), "\"eight\" is not a number of workers"));
  CHECK(contains(refused({"scale", "+"}), "\"+\" is not a number"));
  CHECK(contains(refused({"scale", "8", "9"}), "unexpected argument \"9\""));
  CHECK(contains(refused({"status", "8"}), "unexpected argument \"8\" (usage: baton status [flags])"));
  CHECK(refused({"status", "--jsn"}) == "unknown flag --jsn (did you mean --json?)");
  CHECK(contains(refused({"status", "--no-wait"}), "unknown flag --no-wait"));
  CHECK(contains(refused({"status", "--control"}), "value is missing"));
}

TEST_CASE("client: help and commands") {
  for (const char* command : {"status", "scale", "reload", "stop", "events"}) {
    CHECK(is_client_command(command));
    try {
      ran({command, "--help"});
      FAIL("no help for " << command);
    } catch (const InformationAsked& asked) {
      CHECK(contains(asked.text, std::string("Usage: baton ") + command));
      CHECK(contains(asked.text, "--json"));
    }
  }
  CHECK_FALSE(is_client_command(""));
  CHECK_FALSE(is_client_command("worker"));
  CHECK_FALSE(is_client_command("--workers"));
}

}  // namespace baton::test
