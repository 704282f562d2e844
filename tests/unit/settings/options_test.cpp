// Unit tests of the master's command line, file and environment.
#include "master/settings/options.hpp"

#include <limits>

#include "common/error.hpp"
#include "master/system/cpus.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

using Words = std::vector<std::string>;

Words listens(const Words& arguments) {
  Words all;
  for (const NamedAddress& each : parse_options(arguments).listen) all.push_back(to_string(each));
  return all;
}

std::string options_refusal(const Words& arguments) {
  return message_of<UsageError>([&] { parse_options(arguments); });
}

}  // namespace

TEST_CASE("the defaults") {
  const Options options = parse_options({});
  CHECK(options.workers == usable_cpus());
  REQUIRE(options.listen.size() == 1);
  CHECK(to_string(options.listen[0]) == "[::]:1337");
  CHECK(options.backlog == std::numeric_limits<int>::max());
  CHECK(options.drain_timeout == std::chrono::seconds(30));
  CHECK(options.pid_file.empty());
  CHECK(options.control.empty());
  CHECK(options.command.empty());
  CHECK(options.warnings.empty());
  CHECK(options.worker.max_header == 16'384);
}

TEST_CASE("every flag") {
  const Options options =
      parse_options({"-w", "3", "-l", "127.0.0.1:80", "--backlog=5", "--drain-timeout=2s", "--pid-file=/p", "--control",
                     "/c", "--dialect=channel", "--max-header=1k", "--log-level=debug", "--log-format=json"});
  CHECK(options.workers == 3);
  CHECK(options.backlog == 5);
  CHECK(options.drain_timeout == std::chrono::seconds(2));
  CHECK(options.pid_file == "/p");
  CHECK(options.control == "/c");
  CHECK(options.worker.max_header == 1024);
  CHECK(options.worker.log.level == log::Level::debug);
  CHECK(options.worker.log.format == log::Format::json);
  CHECK(parse_options({"--workers=auto"}).workers == usable_cpus());
}

TEST_CASE("addresses, and the port of those that name none") {
  CHECK(listens({"-p", "80"}) == Words{"[::]:80"});
  CHECK(listens({"-l", "127.0.0.1", "-l", "[::1]:81", "-p", "80"}) == Words{"127.0.0.1:80", "[::1]:81"});
  CHECK(listens({"-l", "[::1]", "-p", "80"}) == Words{"[::1]:80"});
  CHECK(listens({"-l", ":1,:2", "-l", "unix:@x"}) == Words{"[::]:1", "[::]:2", "unix:@x"});
  CHECK(listens({"-l", "127.0.0.1:0", "-l", "127.0.0.1:0"}).size() == 2);
}

TEST_CASE("a fixed address given twice") {
  CHECK(options_refusal({"-l", ":80", "-l", "[::]:81", "-l", ":80"}) == "--listen: [::]:80 is given twice");
  CHECK(options_refusal({"-l", "127.0.0.1", "-l", "127.0.0.1:80", "-p", "80"}) ==
        "--listen: 127.0.0.1:80 is given twice");
  CHECK(options_refusal({"-l", "unix:/x", "-l", "unix:/x?mode=0600"}) == "--listen: unix:/x is given twice");
}

TEST_CASE("wrong values, each by its place") {
  CHECK(options_refusal({"-w", "-1"}) ==
        "--workers: \"-1\" is not a number of workers (0 to 4096), or auto: one per CPU");
  CHECK(options_refusal({"-w", "4097"}).starts_with("--workers: "));
  CHECK(options_refusal({"-w", "many"}).starts_with("--workers: "));
  CHECK(options_refusal({"-p", "65536"}) == "--port: \"65536\" is not a port (0 to 65535)");
  CHECK(options_refusal({"-l", "localhost"}).starts_with("--listen: \"localhost\" is no address"));
  CHECK(options_refusal({"--backlog", "0"}).starts_with("--backlog: \"0\" is not a backlog"));
  CHECK(options_refusal({"--drain-timeout", "soon"}).starts_with("--drain-timeout: \"soon\" is not a duration"));
  CHECK(options_refusal({"--dialect", "morse"}) ==
        "--dialect: \"morse\" is no dialect: auto, channel, node-cluster, listen-fds, einhorn, server-starter");
  const Variable workers("BATON_WORKERS", "none");
  CHECK(options_refusal({}).starts_with("BATON_WORKERS: \"none\" is not a number of workers"));
  const Directory directory;
  const std::string file = directory.write("x.toml", "listen = [\":80\", \"nowhere\"]\n");
  CHECK(options_refusal({"-w", "1", "-c", file}).starts_with(file + ": listen: \"nowhere\" is no address"));
}

TEST_CASE("a whole file") {
  const Directory directory;
  const std::string file = directory.write("x.toml",
                                           "workers = 3\n"
                                           "listen = [\"127.0.0.1:80\", \"[::1]:81\", \"unix:/x?mode=0600\"]\n"
                                           "drain-timeout = \"2s\"\n"
                                           "max-body = 5\n"
                                           "log-level = \"error\"\n");
  const Options options = parse_options({"--config", file});
  CHECK(options.workers == 3);
  CHECK(listens({"-c", file}) == Words{"127.0.0.1:80", "[::1]:81", "unix:/x"});
  CHECK(options.drain_timeout == std::chrono::seconds(2));
  CHECK(options.worker.max_body == 5);
  CHECK(options.worker.log.level == log::Level::error);
}

TEST_CASE("the environment, for addresses") {
  const Variable listen("BATON_LISTEN", "127.0.0.1:80,[::1]:81");
  CHECK(listens({}) == Words{"127.0.0.1:80", "[::1]:81"});
  CHECK(listens({"-l", ":82"}) == Words{"[::]:82"});
}

TEST_CASE("workers that ask for their listeners get none that nobody named") {
  CHECK(listens({"--", "node", "app.js"}).empty());
  CHECK(parse_options({"--", "node", "app.js"}).dialect == Dialect::node_cluster);
  CHECK(listens({"-p", "80", "--", "node", "app.js"}) == Words{"[::]:80"});
  CHECK(listens({"-l", "127.0.0.1", "--", "node", "app.js"}) == Words{"127.0.0.1:1337"});
  CHECK(listens({"--dialect", "channel", "--", "node", "app.js"}) == Words{"[::]:1337"});
  CHECK(contains(options_refusal({"--", "node", "app.js", "{port}"}),
                 "before a worker asks for it (-l or -p names one)"));
  CHECK(contains(options_refusal({"--ready", "accepts", "--", "node", "app.js"}), "says by itself that it listens"));
  CHECK(contains(options_refusal({"--defer-accept", "1s", "--", "node", "app.js"}), "-l or -p name one that can"));
}

TEST_CASE("what stands behind -- is the command, flags and all") {
  CHECK(parse_options({"-w", "2", "--", "node", "worker.js", "-w", "9"}).command ==
        Words{"node", "worker.js", "-w", "9"});
  CHECK(parse_options({"-w", "2", "--", "node", "-w", "9"}).workers == 2);
  CHECK(parse_options({"--", "sh", "-c", "x", "--", "y"}).command == Words{"sh", "-c", "x", "--", "y"});
  CHECK(parse_options({"--", "--help"}).command == Words{"--help"});
}

TEST_CASE("a command that is missing, or not behind --") {
  CHECK(contains(options_refusal({"--"}), "the command after \"--\" is missing"));
  CHECK(contains(options_refusal({"-w", "2", "--"}), "is missing"));
  CHECK(contains(options_refusal({"node", "worker.js"}), "put it after \"--\": baton -- node"));
}

TEST_CASE("a slip of the pen on the command line") {
  CHECK(options_refusal({"--wrokers", "4"}) == "unknown flag --wrokers (did you mean --workers?)");
  CHECK(options_refusal({"--max-headers=1k"}) == "unknown flag --max-headers=1k (did you mean --max-header?)");
}

TEST_CASE("a slip of the pen in the environment is a warning that names it") {
  const Variable slip("BATON_WROKERS", "4");
  const Options options = parse_options({});
  REQUIRE(options.warnings.size() == 1);
  CHECK(contains(options.warnings[0], "BATON_WROKERS"));
}

TEST_CASE("deferring the accept is for TCP, in whole seconds") {
  const Options options = parse_options({"--defer-accept", "5s", "-l", "127.0.0.1:80", "-l", "unix:/x"});
  CHECK(std::get<TcpAddress>(options.listen.front().address).defer_accept == std::chrono::seconds(5));
  CHECK(std::get<TcpAddress>(parse_options({}).listen.front().address).defer_accept == std::chrono::seconds(0));
  for (const char* wrong : {"1500ms", "2h", "-1s", "x"})
    CHECK(options_refusal({"--defer-accept", wrong}).starts_with("--defer-accept: "));
  CHECK(options_refusal({"--defer-accept", "1s", "-l", "unix:/x"}) ==
        "--defer-accept: only TCP listeners can, and there are none (leave it out)");
}

}  // namespace baton::test
