// Unit tests of the doctor: what a report says, what it sees of processes and sockets, and how it is asked.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json/parse.hpp>

#include "common/error.hpp"
#include "master/doctor/load.hpp"
#include "master/doctor/plan.hpp"
#include "master/doctor/processes.hpp"
#include "master/doctor/report.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/expect.hpp"

namespace baton::test {
namespace {

using namespace baton::doctor;
using Arguments = std::vector<std::string>;

Report sick_report() {
  return {{"node", "a\033[2Jb.js"},
          "channel",
          "it was \"so\"",
          {{Check::listener, Verdict::ok, "2 of 2", ""},
           {Check::ready, Verdict::failed, "last words: \033]0;x\a", "be ready"},
           {Check::channel, Verdict::skipped, "no \"time\"", ""}}};
}

std::uint16_t port_of(const Fd& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

Fd tcp_socket() {
  return Fd{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
}

}  // namespace

TEST_CASE("doctor: a report in words has a line for each finding, and nothing that a terminal obeys") {
  const std::string text = report_text(sick_report(), false);
  CHECK(text.starts_with("node a?[2Jb.js\n  dialect channel, because it was \"so\"\n\n"));
  CHECK(contains(text, "  ok       takes the listener     2 of 2\n"));
  CHECK(contains(text, "  failed   gets ready             last words: ?]0;x?\n"));
  CHECK(contains(text, " way out: be ready\n"));
  CHECK(text.ends_with("\n1 ok, 1 failed, 1 skipped\n"));
  CHECK_FALSE(contains(text, "\033"));
  CHECK(contains(report_text(sick_report(), true), "\033[31mfailed  \033[0m"));
}

TEST_CASE("doctor: a report in JSON has the same") {
  const std::string text = report_json(sick_report());
  CHECK(text.ends_with("}\n"));
  const auto report = boost::json::parse(text).as_object();
  CHECK(report.at("command").as_array().size() == 2);
  CHECK(report.at("dialect_reason").as_string() == "it was \"so\"");
  CHECK_FALSE(report.at("healthy").as_bool());
  const auto& checks = report.at("checks").as_array();
  CHECK(checks.at(0) == boost::json::parse(R"({"check":"listener","verdict":"ok","seen":"2 of 2"})"));
  CHECK(checks.at(1).at("way_out").as_string() == "be ready");
  CHECK(checks.at(2).at("verdict").as_string() == "skipped");
  Report well = sick_report();
  well.findings.at(1).verdict = Verdict::skipped;
  CHECK(boost::json::parse(report_json(well)).at("healthy").as_bool());
}

TEST_CASE("doctor: its own flags are taken, baton's are passed on and checked") {
  const Plan plan =
      parse_plan({"--json", "--dialect", "channel", "--timeout=5s", "--env", "A=b", "--", "node", "x.js", "--json"});
  CHECK(plan.as_json);
  CHECK(plan.time_limit == std::chrono::seconds(5));
  CHECK(plan.arguments == Arguments{"--dialect", "channel", "--env", "A=b", "--workers=2", "--listen=127.0.0.1:0"});
  CHECK(plan.options.command == Arguments{"node", "x.js", "--json"});
  CHECK(plan.options.dialect == Dialect::channel);
  CHECK(parse_plan({"-l", "127.0.0.1:81", "--", "x"}).arguments == Arguments{"-l", "127.0.0.1:81", "--workers=2"});
  CHECK_FALSE(plan.defers_accept());
  CHECK(parse_plan({"--defer-accept", "9s", "--", "x"}).defers_accept());
  CHECK(parse_plan({"--path", "/health?a=b", "--", "x"}).path == "/health?a=b");
  CHECK(contains(message_of<UsageError>([] { parse_plan({"--path", "/a b", "--", "x"}); }), "no path"));
  CHECK(contains(message_of<UsageError>([] { parse_plan({"--timeout", "0", "--", "x"}); }), "leaves no time"));
  CHECK(contains(message_of<UsageError>([] { parse_plan({"--ready", "now", "--", "x"}); }), "--ready"));
}

TEST_CASE("doctor: a slow program's clients are more patient, the more there are") {
  using namespace std::chrono_literals;
  CHECK(patience_among(12, 2ms) == 5s);
  CHECK(patience_among(12, 1s) == 24s);
  CHECK(patience_among(4, 1s) == 8s);
}

TEST_CASE("doctor: what this process has open, and who belongs to it") {
  const std::vector<pid_t> family = family_of(::getpid());
  REQUIRE_FALSE(family.empty());
  CHECK(family.front() == ::getpid());
  CHECK(family_of(0x3FFFFFFF).empty());
  const Descriptors before = descriptors_of({::getpid()});
  const Fd file{check(::open("/dev/zero", O_RDONLY | O_CLOEXEC), "open")};
  const Fd socket = tcp_socket();
  const Descriptors after = descriptors_of({::getpid()});
  CHECK(total(after) == total(before) + 2);
  CHECK(after.at("/dev/zero") == 1);
  CHECK(after.at("socket") == (before.contains("socket") ? before.at("socket") : 0) + 1);
  CHECK_FALSE(command_line(::getpid()).empty());
  CHECK_FALSE(doctor::has_ended(pidfd_of(::getpid())));
  CHECK(doctor::has_ended(pidfd_of(0x3FFFFFFF)));
}

TEST_CASE("doctor: a listener is found by its port") {
  const Fd listener = tcp_socket();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  const std::uint16_t port = port_of(listener);
  CHECK(listening_inodes(port).empty());
  check(::listen(listener.get(), 1), "listen");
  CHECK(listening_inodes(port).size() == 1);
  CHECK(holds_any({::getpid()}, listening_inodes(port)));
  CHECK_FALSE(holds_any({::getpid()}, {1}));
}

}  // namespace baton::test
