// Process tests. --policy own-port: each worker at a port of its own, which its successors keep.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <csignal>
#include <memory>

#include "master/listeners/listener.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/traffic.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/ports.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

std::vector<std::string> own_port(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--policy", "own-port"});
  return arguments;
}

/// Each worker's address by its number, as the log says it.
std::map<int, std::string> addresses_in_log(Baton& baton) {
  std::map<int, std::string> found;
  for (const std::string& line : baton.program().lines_with(" ready on "))
    found[worker_in(line).number] = line.substr(line.rfind(' ') + 1);
  return found;
}

/// The same and their pids, as the status says it, of those that are ready.
struct Served {
  pid_t pid = 0;
  std::string address;
};
std::map<int, Served> served_by_number(const Baton& baton) {
  std::map<int, Served> found;
  const boost::json::object status = baton.status();
  for (const boost::json::value& each : status.at("workers").as_array())
    if (each.at("state") == "ready")
      found[static_cast<int>(each.at("worker").as_int64())] = {
          static_cast<pid_t>(each.at("pid").as_int64()),
          std::string(each.at("listeners").as_array().at(0).as_string())};
  return found;
}

std::string scale(Baton& baton, const std::string& to) {
  const Outcome outcome = run_baton({"scale", to, "--control", baton.control()});
  return outcome.end + " " + outcome.output + outcome.errors;
}

}  // namespace

TEST_CASE("own-port: each port is one worker's, and the log, the status and the first line say whose") {
  Baton baton(own_port({"-w", "3"}));
  const std::map<int, pid_t> pids = (baton.workers(), baton.latest());
  const std::map<int, std::string> addresses = addresses_in_log(baton);
  REQUIRE(addresses.size() == 3);
  CHECK(baton.addresses() == std::vector<std::string>{addresses.at(1), addresses.at(2), addresses.at(3)});
  CHECK(baton.log_has("3 workers, each on a port of its own"));
  for (const auto& [number, address] : addresses)
    for (int i = 0; i < 20; ++i) CHECK(answering_pid(address) == pids.at(number));

  const boost::json::object status = baton.status();
  CHECK(status.at("listeners").as_array().size() == 3);
  for (const boost::json::value& each : status.at("workers").as_array()) {
    const auto number = static_cast<int>(each.at("worker").as_int64());
    CHECK(each.at("listeners") == boost::json::array{addresses.at(number)});
  }
  const Outcome shown = run_baton({"status", "--control", baton.control()});
  for (const auto& [number, address] : addresses) CHECK(shown.output.find(address) != std::string::npos);
  CHECK(shown.output.find("ADDRESS") != std::string::npos);
}

TEST_CASE("own-port: the master holds no listening socket, and each worker its own") {
  Baton baton(own_port({"-w", "3", "-l", "127.0.0.1:0", "-l", "[::1]:0"}));
  const std::vector<pid_t> workers = baton.pids();
  const Inodes listening = listening_sockets();
  const Inodes masters = sockets_of(baton.pid());
  CHECK(common_to(masters, listening) == unix_listener(baton.control()));
  CHECK(masters.size() == workers.size() + std::size_t{2} * 3 + 1);
  Inodes all;
  for (const pid_t each : workers) {
    Inodes its = common_to(sockets_of(each), listening);
    CHECK(its.size() == 2);
    all.merge(its);
  }
  CHECK(all.size() == 6);
}

TEST_CASE("own-port: a worker that is killed has a successor at the same port, and who waits there is answered") {
  Baton baton(own_port({"-w", "2"}));
  const Worker victim = baton.workers().front();
  const std::string address = addresses_in_log(baton).at(victim.number);
  const baton::Fd process = open_pidfd(victim.pid);
  signal_process(process, SIGSTOP);
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(std::make_unique<Connection>(address));
    waiting.back()->send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  }
  signal_process(process, SIGKILL);
  const Worker successor = baton.wait_for_successor(victim);
  for (const auto& each : waiting) CHECK(pid_in(each->read_response()) == successor.pid);
  CHECK(addresses_in_log(baton).at(victim.number) == address);
}

TEST_CASE("own-port: killed under clients, it costs those that were being answered, and refuses nobody") {
  Baton baton(own_port({"-w", "2"}));
  baton.workers();
  Traffic fresh(baton.addresses().front(), Connections::fresh, 8);
  Traffic other(baton.addresses().back(), Connections::fresh, 8);
  for (int i = 0; i < 10; ++i) {
    const Worker victim{1, baton.latest()[1]};
    ::kill(victim.pid, SIGKILL);
    baton.wait_for_successor(victim);
    fresh.wait_for_answers(20);
  }
  const Tally tally = fresh.stop();
  CAPTURE(tally);
  CHECK(tally.count(Fate::refused) == 0);
  CHECK(tally.count(Fate::timed_out) == 0);
  CHECK(tally.failed() <= 10 * 8);
  CHECK(other.stop().failed() == 0);
}

TEST_CASE("own-port: more workers have more ports: when they go their ports close, and the others notice nothing") {
  Baton baton(own_port({"-w", "1"}));
  baton.workers();
  Traffic fresh(baton.address(), Connections::fresh, 8);
  const auto descriptors = [&] { return descriptors_of(baton.pid()).size(); };
  const std::size_t before = descriptors();
  for (int i = 0; i < 20; ++i) {
    CHECK(scale(baton, "4").starts_with("code 0"));
    const std::map<int, Served> all = served_by_number(baton);
    REQUIRE(all.size() == 4);
    for (const auto& [number, served] : all) CHECK(answering_pid(served.address) == served.pid);
    CHECK(scale(baton, "1").starts_with("code 0"));
    for (int number = 2; number <= 4; ++number) CHECK(becomes_true([&] { return is_refused(all.at(number).address); }));
  }
  CHECK(becomes_true([&] { return descriptors() == before; }));
  const Tally tally = fresh.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

TEST_CASE("own-port: who is in the queue of a worker that goes is answered") {
  Baton baton(own_port({"-w", "2"}));
  baton.workers();
  const std::string address = baton.addresses().back();
  const baton::Fd process = open_pidfd(baton.latest()[2]);
  signal_process(process, SIGSTOP);
  std::vector<std::unique_ptr<Connection>> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(std::make_unique<Connection>(address));
    waiting.back()->send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  }
  baton.signal(SIGTTOU);
  baton.wait_for("scaled: 1 worker is ready");
  signal_process(process, SIGCONT);
  for (const auto& each : waiting) pid_in(each->read_response());
  CHECK(becomes_true([&] { return is_refused(address); }));
}

TEST_CASE("own-port: reloads keep each worker's port, and lose nobody") {
  Baton baton(own_port({"-w", "3"}));
  baton.workers();
  const auto before = addresses_in_log(baton);
  std::vector<std::unique_ptr<Traffic>> traffic;
  for (const auto& [number, address] : before)
    traffic.push_back(std::make_unique<Traffic>(address, Connections::fresh, 4));
  reload(baton, 4);
  for (const auto& each : traffic) {
    const Tally tally = each->stop();
    CAPTURE(tally);
    CHECK(tally.failed() == 0);
    CHECK(tally.answered() > 0);
  }
  CHECK(addresses_in_log(baton) == before);
  CHECK(becomes_true([&] { return living_children_of(baton.pid()).size() == 3; }));
  for (const auto& [number, served] : served_by_number(baton)) CHECK(answering_pid(before.at(number)) == served.pid);
}

TEST_CASE("own-port: the n-th worker has the n-th port of a range, and there are no more workers than ports") {
  const int first = free_ports(3);
  const std::string range = fmt::format("127.0.0.1:{}-{}", first, first + 2);
  Baton baton(own_port({"-w", "2", "-l", range}));
  baton.workers();
  CHECK(baton.addresses() == std::vector<std::string>{range});
  for (const int number : {1, 2})
    CHECK(answering_pid(fmt::format("127.0.0.1:{}", first + number - 1)) == baton.latest()[number]);
  CHECK(is_refused(fmt::format("127.0.0.1:{}", first + 2)));

  const std::string refused = scale(baton, "4");
  CHECK(refused.starts_with("code 1"));
  CHECK(refused.find("3 ports for 4 workers") != std::string::npos);
  CHECK(living_children_of(baton.pid()).size() == 2);
  CHECK(scale(baton, "3").starts_with("code 0"));
  CHECK(answering_pid(fmt::format("127.0.0.1:{}", first + 2)) == served_by_number(baton).at(3).pid);
  baton.signal(SIGTTIN);
  CHECK(baton.wait_for("not scaled to 4 workers").find("3 ports for 4 workers") != std::string::npos);
}

TEST_CASE("own-port: a reload can make a range longer, and the ports that both have go on untouched") {
  const int first = free_ports(4);
  const Directory directory;
  const std::string file = directory / "baton.toml";
  const auto write = [&](int from, int to, int workers) {
    write_file(file, fmt::format("workers = {}\nport = \"{}-{}\"\nlisten = [\"127.0.0.1\"]\npolicy = \"own-port\"\n",
                                 workers, first + from, first + to));
  };
  const auto at = [&](int place) { return fmt::format("127.0.0.1:{}", first + place); };
  write(0, 1, 2);
  Baton baton({"-c", file});
  baton.workers();
  Traffic traffic(at(1), Connections::fresh, 8);
  write(0, 3, 4);
  reload(baton);
  CHECK(baton.log_has("reload 1: done, 4 workers replaced"));
  for (int place = 0; place < 4; ++place)
    CHECK(becomes_true([&] { return answering_pid(at(place)) == baton.latest()[place + 1]; }));
  write(1, 3, 3);
  reload(baton);
  for (int place = 1; place < 4; ++place)
    CHECK(becomes_true([&] { return answering_pid(at(place)) == baton.latest()[place]; }));
  CHECK(becomes_true([&] { return is_refused(at(0)); }));
  write(1, 2, 3);
  baton.signal(SIGHUP);
  CHECK(baton.wait_for("reload refused").find("2 ports for 3 workers") != std::string::npos);
  const Tally tally = traffic.stop();
  CAPTURE(tally);
  CHECK(tally.failed() == 0);
}

TEST_CASE("own-port: a port of the range that somebody else has is named, and tried again") {
  const int first = free_ports(2);
  Baton baton(own_port({"-w", "1", "-l", fmt::format("127.0.0.1:{}-{}", first, first + 1)}));
  baton.workers();
  {
    const baton::Listener other = baton::listen_on(baton::parse_address(fmt::format("127.0.0.1:{}", first + 1), 0), 1);
    const std::string refused = scale(baton, "2");
    CHECK(refused.starts_with("code 1"));
    CHECK(refused.find(fmt::format("can't listen on 127.0.0.1:{}", first + 1)) != std::string::npos);
  }
  baton.wait_for("worker 2 pid");
  CHECK(becomes_true([&] { return baton.status().at("ready").as_int64() == 2; }));
}

TEST_CASE("own-port: what can't be had is refused at the start, with code 2") {
  for (const std::vector<std::string>& each :
       std::vector<std::vector<std::string>>{{"-p", "3000"}, {"-l", "unix:@x"}, {"-p", "3000-3001", "-w", "3"}}) {
    const Outcome outcome = run_baton(own_port(each));
    CAPTURE(each, outcome.errors);
    CHECK(outcome.end == "code 2");
    CHECK(split_lines(outcome.errors).size() == 1);
    CHECK(outcome.errors.find("own-port") != std::string::npos);
  }
}
