// Unit tests of the control socket's clients: what they print, ask and complain of. The client runs in a thread beside
// the loop of the server; it has no Asio in it.
#include "master/client/client.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <thread>

#include "common/settings.hpp"
#include "master/client/client_text.hpp"
#include "master/control/control_path.hpp"
#include "tests/support/descriptors.hpp"
#include "tests/unit/control/control_server.hpp"
#include "tests/unit/expect.hpp"

namespace baton::test {
namespace {

/// A stream to print into.
class Paper {
 public:
  Paper() : stream_(::open_memstream(&text_, &size_)) {}
  Paper(const Paper&) = delete;
  Paper& operator=(const Paper&) = delete;
  ~Paper() {
    std::fclose(stream_);
    std::free(text_);
  }
  [[nodiscard]] std::FILE* stream() const { return stream_; }
  [[nodiscard]] std::string text() const {
    std::fflush(stream_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
  std::string refusal;  ///< what the program would print behind "baton: "
};

Ran ran(const std::vector<std::string>& arguments) {
  const Paper out;
  const Paper err;
  Ran result;
  try {
    result.code = run_client(arguments, out.stream(), err.stream());
  } catch (const UsageError& error) {
    result = {2, "", "", error.what()};
  } catch (const StartError& error) {
    result = {1, "", "", error.what()};
  }
  result.out = out.text();
  result.err = err.text();
  return result;
}

Ran run(ControlServer& server, const std::vector<std::string>& arguments) {
  Ran result;
  std::atomic<bool> done = false;
  std::thread client([&] {
    result = ran(arguments);
    done = true;
  });
  try {
    server.run_until([&] { return done.load(); });
  } catch (...) {
    server.control.reset();  // so that the client ends too
    client.join();
    throw;
  }
  client.join();
  return result;
}

Ran run_with_path(ControlServer& server, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--control", server.path});
  return run(server, arguments);
}

/// A user for whom no master of this machine runs, so that none is found but the test's own.
class LonelyUser {
 public:
  LonelyUser() {
    if (is_root_ && ::seteuid(number) == -1) throw std::system_error(errno, std::generic_category(), "seteuid");
  }
  LonelyUser(const LonelyUser&) = delete;
  LonelyUser& operator=(const LonelyUser&) = delete;
  ~LonelyUser() {
    if (is_root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  static constexpr uid_t number = 64'901;
  bool is_root_ = ::geteuid() == 0;
};

boost::json::object sample_status() {
  return boost::json::parse(R"({"name":"127.0.0.1:1337","version":"0.1.0","pid":4100,"state":"serving","target":2,
    "ready":1,"generation":3,"listeners":[{"name":"server","address":"127.0.0.1:1337"},
    {"name":"api","address":"[::]:80"}],"workers":[
    {"worker":1,"pid":4242,"state":"ready","generation":3,"age_ms":12000,"rss":3145728,"note":"","open":17,
     "requests":1234},
    {"worker":2,"pid":null,"state":"backing_off","retry_in_ms":3200,"failures":4,"note":"exited with code 1"}]})")
      .as_object();
}

}  // namespace

TEST_CASE("client: the status is a table") {
  CHECK(status_text(sample_status(), false) ==
        "127.0.0.1:1337 · baton 0.1.0 · pid 4100 · serving · 1 of 2 ready · generation 3\n"
        "listening on 127.0.0.1:1337, api=[::]:80\n"
        "\n"
        "WORKER   PID  STATE        GENERATION   AGE   MEMORY  CONNS  REQUESTS  NOTE\n"
        "     1  4242  ready                 3  12 s  3.0 MiB     17      1234\n"
        "     2     -  backing_off           -     -        -      -         -  exited with code 1; starts again in "
        "3.2 s, after 4 "
        "failures\n");
}

TEST_CASE("client: colours follow the state, and change nothing else") {
  const std::string text = status_text(sample_status(), true);
  CHECK(contains(text, "\033[32mserving\033[0m"));
  CHECK(contains(text, "\033[32mready      \033[0m  "));
  CHECK(contains(text, "\033[31mbacking_off\033[0m"));
  CHECK_FALSE(contains(status_text(sample_status(), false), "\033"));
}

TEST_CASE("client: a status without what is expected, or with what a terminal would obey, is shown all the same") {
  CHECK(contains(status_text({}, false), "- · baton - · pid - · - · - of - ready"));
  CHECK(contains(status_text({{"name", "a\033[2Jb\n"}, {"workers", 3}, {"listeners", {1, 2}}}, false), "a?[2Jb?"));
  CHECK(contains(status_text({{"workers", {1, boost::json::object{}}}}, false), "WORKER"));
}

TEST_CASE("client: ages, sizes, bars and events") {
  CHECK(age_text(0) == "0 s");
  CHECK(age_text(59'999) == "59 s");
  CHECK(age_text(303'000) == "5 min 3 s");
  CHECK(age_text(7'440'000) == "2 h 4 min");
  CHECK(age_text(273'600'000) == "3 d 4 h");
  CHECK(size_text(812) == "812 B");
  CHECK(size_text(3 << 20) == "3.0 MiB");
  CHECK(bar_text(0, 4) == "[------------------------------] 0 of 4");
  CHECK(bar_text(2, 4) == "[###############---------------] 2 of 4");
  CHECK(bar_text(9, 4) == "[##############################] 9 of 4");
  CHECK(bar_text(0, 0) == "[##############################] 0 of 0");
  CHECK(event_text({{"time", "T"}, {"event", "stopping"}}) == "T stopping\n");
  CHECK(event_text({{"time", "T"}, {"event", "scale_progress"}, {"done", 1}, {"of", 2}}) ==
        "T scale_progress 1 of 2\n");
  CHECK(event_text({{"time", "T"}, {"event", "worker_ready"}, {"message", "worker 2 pid 7 ready"}}) ==
        "T worker_ready worker 2 pid 7 ready\n");
}

TEST_CASE("client: status, for people and for programs") {
  const NoLeak no_leak;
  ControlServer server;
  server.commands.shown = sample_status();
  const Ran shown = run_with_path(server, {"status"});
  CHECK(shown.code == 0);
  CHECK(shown.out == status_text(sample_status(), false));
  CHECK(shown.err.empty());
  const Ran raw = run_with_path(server, {"status", "--json"});
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
    const Ran scaled = run_with_path(server, {"scale", amount});
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
  const Ran failed = run_with_path(server, {"reload"});
  CHECK(failed.code == 1);
  CHECK(failed.out == "reload 3: failed: no\n");
  const Ran stopped = run_with_path(server, {"stop", "--json"});
  CHECK(stopped.code == 1);
  CHECK(stopped.out == "{\"ok\":false,\"message\":\"reload 3: failed: no\"}\n");
}

TEST_CASE("client: with --no-wait it only asks") {
  ControlServer server;
  const Ran scaled = run_with_path(server, {"scale", "--no-wait", "+2"});
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
  const Ran stopped = run_with_path(server, {"stop"});
  CHECK(stopped.code == 0);
  CHECK(stopped.out == "stopped\n");
}

TEST_CASE("client: a master that goes away in the middle is named as the cause") {
  const NoLeak no_leak;
  for (const std::string command : {"stop", "reload"}) {
    ControlServer server;
    server.commands.on_ask = [&](const std::string&, const Done&) { server.control.reset(); };
    const Ran gone = run_with_path(server, {command});
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
    Ran result;
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
    const Ran result = ran(arguments);
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

TEST_CASE("client: a socket that can't be reached is named with the cause") {
  const NoLeak no_leak;
  const Directory directory;
  const Ran missing = ran({"status", "--control", directory.file("x.sock")});
  CHECK(missing.code == 1);
  CHECK(contains(missing.refusal, directory.file("x.sock") + ": no such file or directory (no master runs there)"));
  std::optional<ControlServer> server;
  server.emplace();
  const std::string kept = server->directory.file("kept");
  std::filesystem::rename(server->path, kept);  // so that it stays, as a killed master's does
  server->control.reset();
  CHECK(contains(ran({"status", "--control", kept}).refusal, "connection refused (its master has ended)"));
  CHECK(contains(ran({"status", "--control", "/" + std::string(200, 'x')}).refusal, "longer than 107 bytes"));
}

TEST_CASE("client: the only master is found, of several one has to be named") {
  const NoLeak no_leak;
  const LonelyUser user;
  const Variable control("BATON_CONTROL");
  const Variable name("BATON_NAME");
  const Directory directory;
  {
    const Variable session("XDG_RUNTIME_DIR");
    const std::string system = control_directory();
    CHECK(ran({"status"}).refusal == "no baton is running (looked in " + system + "; --control names another socket)");
  }
  const Variable session("XDG_RUNTIME_DIR", directory.file("."));
  ControlServer server;
  const auto executor = server.context.get_executor();
  const Control first(executor, server.commands, default_control_path("unix:/run/x"));
  CHECK(run(server, {"status"}).code == 0);
  const Ran other = run(server, {"status", "--name", "other"});
  CHECK(other.code == 1);
  CHECK(contains(other.refusal, "no baton with the name \"other\" is running"));
  CHECK(contains(other.refusal, "unix:_run_x (pid " + std::to_string(::getpid()) + ")"));

  const Control second(executor, server.commands, default_control_path("b"));
  const Ran several = run(server, {"status"});
  CHECK(several.code == 1);
  CHECK(contains(several.refusal, "several batons are running: b (pid "));
  CHECK(contains(several.refusal, "unix:_run_x (pid "));
  CHECK(contains(several.refusal, "--name"));
  CHECK(run(server, {"status", "--name", "b"}).code == 0);
  CHECK(run(server, {"status", "--name", "unix:/run/x"}).code == 0);
  const Variable chosen("BATON_NAME", "b");
  CHECK(run(server, {"status"}).code == 0);
}

TEST_CASE("client: what is no master is not taken for one") {
  const NoLeak no_leak;
  ControlServer server;
  server.control.reset();
  const Listener odd = listen_on(UnixAddress{server.path, 0600}, 4);
  for (const char* says : {"hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", ""}) {
    Ran result;
    std::thread client([&] { result = ran({"status", "--control", server.path}); });
    pollfd waiting{odd.socket.get(), POLLIN, 0};
    const bool has_come = ::poll(&waiting, 1, Deadline().left_ms()) == 1;
    if (has_come) {
      const Fd peer{::accept4(odd.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      char request[512];
      CHECK(::recv(peer.get(), request, sizeof request, 0) > 0);
      CHECK(::send(peer.get(), says, std::strlen(says), MSG_NOSIGNAL) == static_cast<ssize_t>(std::strlen(says)));
    }
    client.join();
    CHECK(has_come);
    CHECK(result.code == 1);
    CHECK(contains(result.refusal, *says == '\0' ? "went away" : "no master"));
  }
}

}  // namespace baton::test
