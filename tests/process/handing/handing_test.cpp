// Process tests. The policies whose master accepts: who gets which connection, and that nothing is lost when workers
// come and go.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <csignal>
#include <map>
#include <memory>
#include <set>

#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/clients/endpoint.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;
using baton::Fd;

namespace {

std::string policy(const std::string& name) {
  return "--policy=" + name;
}

std::string any_policy() {
  return GENERATE(values<std::string>({"roundrobin", "leastconn", "source"}));
}

/// From that address of this machine.
Connection connection_from(const std::string& client, const std::string& address) {
  const Endpoint to = endpoint_of(address);
  const Endpoint from = endpoint_of(client);
  Fd socket = socket_for(to);
  baton::check(::bind(socket.get(), from.get(), from.size), "bind");
  baton::check(::connect(socket.get(), to.get(), to.size), "connect");
  return Connection(std::move(socket));
}

pid_t pid_for(const std::string& client, const std::string& address) {
  Connection connection = connection_from(client, address);
  connection.send(last_request);
  const pid_t pid = pid_in(connection.read_response());
  CHECK(connection.read_to_end().empty());
  return pid;
}

std::vector<std::string> clients(int count) {
  std::vector<std::string> made;
  for (int i = 0; i < count; ++i) made.push_back(fmt::format("127.0.{}.{}:0", i / 200 + 1, i % 200 + 1));
  return made;
}

/// Client to the number of the worker that answers it.
std::map<std::string, int> numbers_for(Baton& baton, const std::vector<std::string>& all) {
  std::map<pid_t, int> numbers;
  for (const auto& [number, pid] : baton.latest()) numbers[pid] = number;
  std::map<std::string, int> found;
  for (const std::string& each : all) found[each] = numbers.at(pid_for(each, baton.address()));
  return found;
}

std::int64_t field_of(Baton& baton, int number, const std::string& field) {
  const boost::json::object status = baton.status();
  for (const auto& each : status.at("workers").as_array())
    if (each.at("worker").as_int64() == number && each.as_object().contains(field)) return each.at(field).as_int64();
  return -1;
}

/// A kept connection on which one request was answered.
std::unique_ptr<Connection> kept(const std::string& address) {
  auto connection = std::make_unique<Connection>(address);
  connection->send(plain_request);
  return connection;
}

}  // namespace

TEST_CASE("roundrobin: 800 connections, one after another, over 8 workers: 100 each") {
  const Directory directory;
  const std::string kind = GENERATE(values<std::string>({"127.0.0.1:0", "[::1]:0", "unix:"}));
  const std::string address = kind == "unix:" ? kind + directory / "x.sock" : kind;
  Baton baton({"-w", "8", policy("roundrobin"), "-l", address});
  baton.workers();
  const auto found = shares(baton.address(), 800);
  CHECK(found.size() == 8);
  for (const auto& [pid, count] : found) CHECK(count == 100);
}

TEST_CASE("leastconn: idle workers take turns") {
  Baton baton({"-w", "4", policy("leastconn")});
  baton.workers();
  std::map<pid_t, int> found;
  for (int i = 0; i < 40; ++i) {
    ++found[answering_pid(baton.address())];
    // The count of what is closed comes a moment later.
    CHECK(becomes_true([&] {
      for (int number = 1; number <= 4; ++number)
        if (field_of(baton, number, "held") != 0) return false;
      return true;
    }));
  }
  CHECK(found.size() == 4);
  for (const auto& [pid, count] : found) CHECK(count == 10);
}

TEST_CASE("leastconn: who holds connections gets no more until the others have as many") {
  Baton baton({"-w", "3", policy("leastconn")});
  baton.workers();
  std::multimap<pid_t, std::unique_ptr<Connection>> held;
  const auto hold_one = [&] {
    auto connection = kept(baton.address());
    const pid_t pid = pid_in(connection->read_response());
    held.emplace(pid, std::move(connection));
    return pid;
  };
  for (int i = 0; i < 12; ++i) hold_one();
  for (const pid_t each : baton.pids()) CHECK(held.count(each) == 4);
  // One of them loses all of its own: the next four are its.
  const Worker idle = baton.workers().front();
  held.erase(idle.pid);
  CHECK(becomes_true([&] { return field_of(baton, idle.number, "held") == 0; }));
  for (int i = 0; i < 4; ++i) CHECK(hold_one() == idle.pid);
  std::set<pid_t> next;
  for (int i = 0; i < 3; ++i) next.insert(hold_one());
  CHECK(next.size() == 3);
}

TEST_CASE("source: the same address, the same worker, and others spread") {
  Baton baton({"-w", "8", policy("source")});
  baton.workers();
  const auto first = numbers_for(baton, clients(100));
  CHECK(numbers_for(baton, clients(100)) == first);
  std::map<int, int> shares_of;
  for (const auto& [client, number] : first) ++shares_of[number];
  CHECK(shares_of.size() == 8);
  CHECK(shares(baton.address(), 50).size() == 1);
}

TEST_CASE("source: a scale moves only those clients that it must, a reload and a death none for long") {
  Baton baton({"-w", "4", policy("source")});
  baton.workers();
  const std::vector<std::string> all = clients(100);
  const auto before = numbers_for(baton, all);
  baton.signal(SIGTTIN);
  baton.wait_for("scaled: 5 workers are ready");
  const auto with_fifth = numbers_for(baton, all);
  int moved = 0;
  for (const auto& [client, number] : with_fifth) {
    if (number == before.at(client)) continue;
    CHECK(number == 5);
    ++moved;
  }
  CHECK(moved > 5);  // of 100, 20 are to be expected
  CHECK(moved < 45);
  baton.signal(SIGTTOU);
  baton.wait_for("scaled: 4 workers are ready");
  CHECK(numbers_for(baton, all) == before);
  reload(baton);
  CHECK(numbers_for(baton, all) == before);
  const Worker second{2, baton.latest()[2]};
  ::kill(second.pid, SIGKILL);
  baton.wait_for_successor(second);
  CHECK(numbers_for(baton, all) == before);
}

TEST_CASE("source is refused with a Unix socket, whose clients have no address") {
  const Outcome outcome = run_baton({policy("source"), "-l", "127.0.0.1:0", "-l", "unix:/tmp/x.sock"});
  CHECK(outcome.end == "code 2");
  CHECK(outcome.errors.find("source goes by the client's address, and a Unix socket's clients have none") !=
        std::string::npos);
}

TEST_CASE("handed connections are kept, and pipelined requests are answered in order") {
  Baton baton({"-w", "2", policy(any_policy())});
  baton.workers();
  Connection connection(baton.address());
  connection.send(plain_request + plain_request + plain_request);
  const pid_t pid = pid_in(connection.read_response());
  CHECK(pid_in(connection.read_response()) == pid);
  CHECK(pid_in(connection.read_response()) == pid);
  connection.send(last_request);
  CHECK(pid_in(connection.read_response()) == pid);
  CHECK(connection.read_to_end().empty());
}

TEST_CASE("workers are killed under traffic: nobody is refused, and only what they answered is lost") {
  Baton baton({"-w", "4", policy(any_policy())});
  baton.workers();
  constexpr int clients_at_once = 8;
  Traffic traffic(baton.address(), Connections::fresh, clients_at_once);
  constexpr int kills = 10;
  for (int i = 0; i < kills; ++i) {
    traffic.wait_for_answers(200);
    const Worker victim{i % 4 + 1, baton.latest()[i % 4 + 1]};
    ::kill(victim.pid, SIGKILL);
    baton.wait_for_successor(victim);
  }
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.count(Fate::refused) == 0);
  CHECK(tally.count(Fate::timed_out) == 0);
  CHECK(tally.count(Fate::malformed) == 0);
  CHECK(tally.failed() <= kills * clients_at_once);
  CHECK(tally.answered() >= kills * 200);
}

TEST_CASE("from 1 worker to 8 and back, with a reload, under clients that send as fast as they can: no request fails") {
  Baton baton({"-w", "1", policy(any_policy())});
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh, 8);
  Traffic alive(baton.address(), Connections::kept, 8);
  for (int to = 2; to <= 8; ++to) {
    baton.signal(SIGTTIN);
    baton.wait_for(fmt::format("scaled: {} workers are ready", to));
  }
  fresh.wait_for_answers(200);
  reload(baton, 2);
  for (int to = 7; to >= 2; --to) {
    const std::string line = fmt::format("scaling from {} workers to {}", to + 1, to);
    baton.signal(SIGTTOU);
    baton.wait_for(line);
  }
  baton.signal(SIGTTOU);
  baton.wait_for("scaled: 1 worker is ready");
  fresh.wait_for_answers(50);
  check_unharmed(fresh);
  check_unharmed(alive);
  CHECK_FALSE(baton.log_has("warning"));
}

TEST_CASE("with no worker handed connections wait, and the next worker answers them") {
  Baton baton({"-w", "0", policy(any_policy())});
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(kept(baton.address()));
  CHECK_FALSE(waiting.front()->is_readable_within(50));
  baton.signal(SIGTTIN);
  baton.wait_for("scaled: 1 worker is ready");
  const Worker first{1, baton.latest()[1]};
  for (const auto& each : waiting) CHECK(pid_in(each->read_response()) == first.pid);
  baton.signal(SIGTTOU);
  baton.wait_for("scaled: 0 workers are ready");
  auto late = kept(baton.address());
  CHECK_FALSE(late->is_readable_within(50));
  baton.signal(SIGTTIN);
  const pid_t second = baton.wait_for_successor(first).pid;
  CHECK(pid_in(late->read_response()) == second);
}

TEST_CASE("a listener that a reload adds is served, and one that it drops is not") {
  const Directory directory;
  const std::string file = directory / "baton.toml";
  const std::string first = "unix:" + directory / "1.sock";
  const std::string second = "unix:" + directory / "2.sock";
  write_file(file, fmt::format("workers = 2\npolicy = \"roundrobin\"\nlisten = [\"{}\"]\n", first));
  Baton baton({"-c", file});
  baton.workers();
  answering_pid(first);
  write_file(file, fmt::format("workers = 2\npolicy = \"roundrobin\"\nlisten = [\"{}\", \"{}\"]\n", first, second));
  reload(baton);
  CHECK(shares(first, 10).size() == 2);
  CHECK(shares(second, 10).size() == 2);
  write_file(file, fmt::format("workers = 2\npolicy = \"roundrobin\"\nlisten = [\"{}\"]\n", second));
  reload(baton);
  CHECK(is_refused(first));
  CHECK(shares(second, 10).size() == 2);
}

TEST_CASE("the master holds the listener and what is on its way, and nothing else of its clients") {
  Baton baton({"-w", "2", policy(any_policy())});
  baton.workers();
  answering_pid(baton.address());
  const auto base = [&] { return descriptors_of(baton.pid()).size(); };
  const std::size_t before = base();  // and perhaps that connection, on its way
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < 200; ++i) connections.push_back(kept(baton.address()));
  for (const auto& each : connections) pid_in(each->read_response());
  CHECK(becomes_true([&] { return base() <= before; }));
  Traffic traffic(baton.address(), Connections::fresh, 8);
  traffic.wait_for_answers(500);
  check_unharmed(traffic);
  CHECK(becomes_true([&] { return base() <= before; }));
}

TEST_CASE("a command's workers start with the limit of open files that baton was started with") {
  constexpr rlim_t soft = 300;
  const auto lower = [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = soft;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  };
  const std::string script = fmt::format("echo \"limit $(ulimit -S -n)\" >&2; exec '{}' worker", programs::baton());
  Baton baton({"-w", "1", policy("roundrobin"), "--", "sh", "-c", script}, {{}, {}, lower});
  CHECK(baton.wait_for("limit ").ends_with("| limit 300"));
  baton.workers();
  answering_pid(baton.address());
  rlimit masters{};
  REQUIRE(::prlimit(baton.pid(), RLIMIT_NOFILE, nullptr, &masters) == 0);
  CHECK(masters.rlim_cur == masters.rlim_max);
}

TEST_CASE("every worker fails: handed clients are refused at once, until one is well again") {
  const Directory directory;
  const std::string cure = directory / "cure";
  const std::string script = fmt::format("test -e '{}' && exec '{}' worker", cure, programs::baton());
  Baton baton({"-w", "2", policy(any_policy()), "--", "sh", "-c", script});
  baton.wait_for("every worker fails: clients are refused until one gets ready");
  CHECK(is_refused(baton.address()));
  write_file(cure, "");
  baton.wait_for(fmt::format("a worker is ready: listening on {} again", baton.address()));
  answering_pid(baton.address());
  Traffic traffic(baton.address(), Connections::fresh, 4);
  traffic.wait_for_answers(50);
  check_unharmed(traffic);
}

TEST_CASE("clients that come while baton stops are answered or refused, and those before are answered") {
  Baton baton({"-w", "2", policy(any_policy())});
  baton.workers();
  std::vector<std::unique_ptr<Connection>> before;
  for (int i = 0; i < 50; ++i) before.push_back(kept(baton.address()));
  CHECK(baton.stop(SIGTERM) == "code 0");
  for (const auto& each : before) CHECK(each->read_response().status == 200);
}
