// Process tests. What the workers count, as status shows it, and what a worker makes of a scoreboard that is none.
#include <sys/mman.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <csignal>
#include <string>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/fake_master.hpp"
#include "tests/support/programs/harness.hpp"

using namespace baton::test;

namespace {

std::uint64_t number(const boost::json::object& object, const char* name) {
  return object.at(name).to_number<std::uint64_t>();
}

std::uint64_t total(const Baton& baton, const char* name) {
  return number(baton.status().at("totals").as_object(), name);
}

std::uint64_t sum_over_workers(const boost::json::object& status, const char* name) {
  std::uint64_t sum = 0;
  for (const auto& each : status.at("workers").as_array()) sum += number(each.as_object(), name);
  return sum;
}

}  // namespace

TEST_CASE("status tells what each worker has done, and all together") {
  Baton baton({"-w", "2"});
  baton.workers();
  const auto are_open = [&](std::uint64_t count) {
    const boost::json::object status = baton.status();
    return number(status.at("totals").as_object(), "open") == count && sum_over_workers(status, "open") == count;
  };
  {
    Connection kept(baton.address());
    for (int i = 0; i < 10; ++i) {
      kept.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
      static_cast<void>(kept.read_response());
    }
    {
      Connection bad(baton.address());
      bad.send("nonsense\r\n\r\n");
      CHECK(bad.read_response().status == 400);
      bad.read_to_end();
    }
    CHECK(becomes_true([&] { return are_open(1); }));
  }
  // An answer's bytes are counted when the client may have them already; a closed connection's all are.
  CHECK(becomes_true([&] { return are_open(0); }));
  const boost::json::object status = baton.status();
  CHECK(sum_over_workers(status, "accepted") == 2);
  CHECK(sum_over_workers(status, "requests") == 10);
  CHECK(sum_over_workers(status, "errors") == 1);
  CHECK(sum_over_workers(status, "bytes") > 1000);
  for (const char* name : {"accepted", "open", "requests", "errors", "bytes", "accept_misses"})
    CHECK(number(status.at("totals").as_object(), name) == sum_over_workers(status, name));
}

TEST_CASE("with --defer-accept a worker hears of a connection when it has something to say") {
  const std::string request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
  Baton baton({"-w", "1", "--defer-accept", "30s"});
  baton.workers();
  Connection silent(baton.address());
  Connection talks(baton.address());
  talks.send(request);
  CHECK(talks.read_response().status == 200);
  CHECK(total(baton, "accepted") == 1);
  silent.send(request);
  CHECK(silent.read_response().status == 200);
  CHECK(total(baton, "accepted") == 2);
}

TEST_CASE("totals never fall, whatever becomes of the workers") {
  Baton baton({"-w", "2"});
  baton.workers();
  Traffic traffic(baton.address(), Connections::fresh, 4);
  std::uint64_t before = 0;
  const auto has_not_fallen = [&] {
    const std::uint64_t now = total(baton, "requests");
    return std::exchange(before, now) <= now;
  };
  for (int round = 0; round < 3; ++round) {
    traffic.wait_for_answers(50);
    CHECK(has_not_fallen());
    const Worker victim = baton.workers().at(0);
    if (round == 1) {
      ::kill(baton.latest().at(victim.number), SIGKILL);
      baton.wait_for_next("ready");
    } else {
      reload(baton);
    }
    CHECK(has_not_fallen());
  }
  const Tally tally = traffic.stop();
  // Those that a killed worker was answering may have been counted and not have come.
  CHECK(total(baton, "requests") >= tally.answered());
  CHECK(total(baton, "requests") <= tally.answered() + tally.failed());
}

TEST_CASE("a command that asks has a place on the scoreboard, and asks once") {
  const std::string twice = R"(printf '{"cmd":"NODE_BATON_HELLO"}\n{"cmd":"NODE_BATON_HELLO"}\n' >&$NODE_CHANNEL_FD; )";
  Baton baton({"-w", "1", "--", "/bin/sh", "-c", twice + "exec sleep 60"});
  baton.wait_for("a hello message, which is out of place here, is ignored");
  const boost::json::object status = baton.status();
  CHECK(number(status.at("workers").as_array().at(0).as_object(), "requests") == 0);
  CHECK(baton.count("hello") == 1);
}

TEST_CASE("a command's workers that do not ask have no place on the scoreboard") {
  Baton baton({"-w", "1", "--", "/bin/sh", "-c", "exec sleep 60"});
  const boost::json::object status = baton.status();
  CHECK_FALSE(status.at("workers").as_array().at(0).as_object().contains("requests"));
  CHECK(total(baton, "requests") == 0);
}

TEST_CASE("a worker that was sent a scoreboard which is none says so, and serves") {
  LoopbackListener listener;
  const baton::Fd unsealed{baton::check(::memfd_create("test", MFD_CLOEXEC), "memfd_create")};
  FakeMaster master;
  SECTION("memory that could be cut off") {
    master.send(R"({"cmd":"NODE_BATON_SCOREBOARD","slot":0})", {unsealed.get()});
    master.worker().wait_for("a scoreboard is not used: its memory is not sealed against shrinking");
  }
  SECTION("without its descriptor") {
    master.send(R"({"cmd":"NODE_BATON_SCOREBOARD","slot":0})");
    master.worker().wait_for("a scoreboard is not used: its descriptor did not come along");
  }
  SECTION("when it serves already") {
    master.send(R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"})", {listener.socket.get()});
    CHECK(master.read_line() == R"({"cmd":"NODE_HANDLE_ACK"})");
    CHECK(master.read_line() == R"("ready")");
    master.send(R"({"cmd":"NODE_BATON_SCOREBOARD","slot":0})", {unsealed.get()});
    master.worker().wait_for("a scoreboard message, which is out of place here, is ignored");
    CHECK(answering_pid(listener.address) == master.worker().pid());
    return;
  }
  master.send(R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"server"})", {listener.socket.get()});
  CHECK(master.read_line() == R"({"cmd":"NODE_HANDLE_ACK"})");
  CHECK(master.read_line() == R"("ready")");
  CHECK(answering_pid(listener.address) == master.worker().pid());
}
