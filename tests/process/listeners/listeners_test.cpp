// Process tests. Several listeners through a worker's death and a reload: each is kept, added or dropped by itself.
#include <fmt/format.h>

#include <csignal>
#include <filesystem>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

std::string config(const std::vector<std::string>& addresses, const std::string& more = "") {
  std::string list;
  for (const std::string& each : addresses) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", each);
  return fmt::format("workers = 2\nlisten = [{}]\n{}", list, more);
}

std::vector<std::string> addresses_in(const boost::json::object& status) {
  std::vector<std::string> found;
  for (const auto& each : status.at("listeners").as_array())
    found.emplace_back(each.as_object().at("address").as_string());
  return found;
}

}  // namespace

TEST_CASE("a reload adds a listener and drops another, and the clients of the third notice nothing") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  const std::string first = "unix:" + directory / "first";
  const std::string second = "unix:" + directory / "second";
  write_file(file, config({"127.0.0.1:0", first}));
  Baton baton({"-c", file});
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh, 8);
  Traffic kept(baton.address(), Connections::kept, 8);
  for (int i = 0; i < 5; ++i) {
    write_file(file, config({"127.0.0.1:0", second}));
    reload(baton);
    answering_pid(second);
    CHECK(becomes_true([&] { return is_refused(first); }));
    CHECK_FALSE(std::filesystem::exists(directory / "first"));
    CHECK(addresses_in(baton.status()) == std::vector<std::string>{baton.address(), second});

    write_file(file, config({first, "127.0.0.1:0"}));  // in another order, too
    reload(baton);
    answering_pid(first);
    CHECK(becomes_true([&] { return is_refused(second); }));
    CHECK(addresses_in(baton.status()) == std::vector<std::string>{first, baton.address()});
  }
  for (Traffic* each : {&fresh, &kept}) {
    const Tally tally = each->stop();
    CAPTURE(tally);
    CHECK(tally.failed() == 0);
  }
  CHECK(baton.stop(SIGTERM) == "code 0");
  CHECK_FALSE(std::filesystem::exists(directory / "first"));
}

TEST_CASE("a listener that is dropped serves until its last old worker has drained") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  write_file(file, config({"127.0.0.1:0", "127.0.0.1:0"}));
  Baton baton({"-c", file, "--log-level", "debug"});
  baton.workers();
  const std::string dropped = baton.addresses().back();
  Connection under_way(dropped);
  under_way.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n12");
  CHECK(under_way.read_response().status == 100);
  write_file(file, config({"127.0.0.1:0"}));
  baton.signal(SIGHUP);
  baton.program().wait_for("draining, ", 2);
  under_way.send("34");
  pid_in(under_way.read_response());
  CHECK(under_way.read_to_end().empty());
  baton.wait_for("reload 1: done");
  CHECK(becomes_true([&] { return is_refused(dropped); }));
  answering_pid(baton.address());
}

TEST_CASE("a new listener of a reload that fails is gone again, and the one that it was to drop has stayed") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  const std::string script =
      fmt::format("if grep -q second '{}'; then exit 7; fi; exec '{}' worker", file, programs::baton());
  const std::string first = "unix:" + directory / "first";
  const std::string second = "unix:" + directory / "second";
  write_file(file, config({first}));
  Baton baton({"-c", file, "--ready", "message", "--", "sh", "-c", script});
  baton.workers();
  Traffic traffic(first, Connections::fresh, 4);
  write_file(file, config({second}));
  baton.signal(SIGHUP);
  baton.wait_for("reload 1: failed: ");
  CHECK(becomes_true([&] { return is_refused(second); }));
  CHECK_FALSE(std::filesystem::exists(directory / "second"));
  CHECK(addresses_in(baton.status()) == std::vector<std::string>{first});
  traffic.wait_for_answers(50);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

TEST_CASE("an address that somebody else has taken makes the reload refused, with its name") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  Baton other({"-w", "1"});
  write_file(file, config({"127.0.0.1:0"}));
  Baton baton({"-c", file});
  baton.workers();
  write_file(file, config({"127.0.0.1:0", "unix:" + directory / "new", other.address()}));
  baton.signal(SIGHUP);
  CHECK(baton.wait_for("reload refused: ").find(other.address()) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(directory / "new"));  // which had been bound by then
  answering_pid(baton.address());
  answering_pid(other.address());
}

TEST_CASE("each listener of several survives the death of all workers") {
  const Directory directory;
  Baton baton({"-w", "3", "-l", "127.0.0.1:0", "-l", "api=[::1]:0", "-l", "admin=unix:" + directory / "x.sock"});
  for (const Worker& each : std::vector<Worker>(baton.workers())) {
    ::kill(each.pid, SIGKILL);
    baton.wait_for_successor(each);
  }
  for (const std::string& each : baton.addresses()) answering_pid(each);
}

TEST_CASE("a worker is told each listener's name") {
  const Directory directory;
  // It shows what it reads of its channel, descriptors aside.
  Baton baton({"-w", "1", "-l", "api=127.0.0.1:0", "-l", "127.0.0.1:0", "-l", "admin=unix:" + directory / "x.sock",
               "--", "bash", "-c", "exec cat <&$NODE_CHANNEL_FD >&2"});
  for (const char* each : {"api", "server", "admin"})
    baton.wait_for(fmt::format(R"({{"cmd":"NODE_HANDLE","type":"net.Server","msg":"{}"}})", each));
  const boost::json::object status = baton.status();
  CHECK(status.at("listeners").as_array().at(0).as_object().at("name") == "api");
  CHECK(status.at("name").as_string() == baton.address());
}
