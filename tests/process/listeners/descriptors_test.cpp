// Process tests. Promise 1, not in the path: while workers serve, the master's descriptor table holds no socket that
// clients connect to, and no connection. And each process holds only what it should.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// The whole proof, for a baton with `addresses` listeners whose workers serve.
void check_sockets(Baton& baton, std::size_t addresses) {
  REQUIRE(baton.addresses().size() == addresses);
  const std::vector<pid_t> workers = baton.pids();
  for (const std::string& each : baton.addresses()) answering_pid(each);

  const Inodes listening = listening_sockets();
  const Inodes masters = sockets_of(baton.pid());
  const Inodes control = unix_listener(baton.control());
  CHECK(control.size() == 1);
  CHECK(common_to(masters, listening) == control);
  // Its end of each channel, the queue that each listener is parked in, its control socket, and nothing else.
  CHECK(masters.size() == workers.size() + addresses + 1);

  Inodes listeners;
  Inodes ends;
  for (const pid_t each : workers) {
    const Inodes sockets = sockets_of(each);
    const Inodes its_listeners = common_to(sockets, listening);
    CHECK(its_listeners.size() == addresses);
    if (listeners.empty()) listeners = its_listeners;
    CHECK(its_listeners == listeners);  // one listening socket for each address, and all accept from it

    const Inodes its_end = without(sockets, listening);
    CHECK(its_end.size() == 1);
    CHECK(common_to(its_end, masters) == Inodes{});
    CHECK(common_to(its_end, ends) == Inodes{});
    ends.insert(its_end.begin(), its_end.end());
  }
}

/// The descriptor that NODE_CHANNEL_FD names, as the process was started with.
int channel_of(pid_t pid) {
  const std::string environment = read_file(fmt::format("/proc/{}/environ", pid));
  constexpr std::string_view name = "NODE_CHANNEL_FD=";
  const auto at = environment.find(name);
  REQUIRE(at != std::string::npos);
  return std::stoi(environment.substr(at + name.size()));
}

Worker first_odd_worker(Baton& baton) {
  baton.wait_for("says \"begin\"");
  return worker_in(baton.wait_for("worker 1 pid"));
}

const std::vector<std::string> one_odd_worker{
    "-w", "1", "--log-level", "debug", "--", programs::odd_worker(), "nothing", programs::baton()};

}  // namespace

TEST_CASE("the master holds no listening socket: TCP over IPv4") {
  Baton baton({"-w", "3"});
  check_sockets(baton, 1);
}

TEST_CASE("the master holds no listening socket: TCP over IPv6") {
  Baton baton({"-w", "2", "-l", "[::1]:0"});
  check_sockets(baton, 1);
}

TEST_CASE("the master holds no listening socket: Unix sockets") {
  const Directory directory;
  Baton baton({"-w", "3", "-l", "unix:" + directory / "x.sock"});
  check_sockets(baton, 1);
}

TEST_CASE("the master holds no listening socket: several addresses") {
  const Directory directory;
  Baton baton({"-w", "2", "-l", "127.0.0.1:0", "-l", "[::1]:0", "-l", "unix:" + directory / "x.sock"});
  check_sockets(baton, 3);
}

TEST_CASE("the master holds no connection while clients hold theirs") {
  Baton baton({"-w", "2"});
  baton.workers();
  const auto before = descriptors_of(baton.pid());
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < 20; ++i) {
    connections.push_back(std::make_unique<Connection>(baton.address()));
    connections.back()->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    pid_in(connections.back()->read_response());
  }
  CHECK(descriptors_of(baton.pid()) == before);
}

TEST_CASE("a foreign worker with raw output inherits the standard streams, its channel, and nothing else") {
  std::vector<std::string> arguments = one_odd_worker;
  arguments.insert(arguments.begin(), "--raw-output");
  Baton baton(arguments);
  const Worker worker = first_odd_worker(baton);
  const int channel = channel_of(worker.pid);
  std::map<int, std::string> descriptors = descriptors_of(worker.pid);
  CAPTURE(channel);
  CHECK(descriptors.size() == 4);
  CHECK(descriptors[STDIN_FILENO] == "/dev/null");
  CHECK(descriptors[STDOUT_FILENO] == descriptors_of(baton.pid())[STDOUT_FILENO]);
  CHECK(descriptors[STDERR_FILENO] == descriptors_of(baton.pid())[STDERR_FILENO]);
  CHECK(descriptors[channel].starts_with("socket:"));
}

TEST_CASE("a foreign worker has pipes to the master, its channel, and nothing else") {
  Baton baton(one_odd_worker);
  const Worker worker = first_odd_worker(baton);
  std::map<int, std::string> descriptors = descriptors_of(worker.pid);
  CHECK(descriptors.size() == 4);
  CHECK(descriptors[STDIN_FILENO] == "/dev/null");
  CHECK(descriptors[STDOUT_FILENO] != descriptors[STDERR_FILENO]);
  const auto masters = descriptors_of(baton.pid());
  for (const int each : {STDOUT_FILENO, STDERR_FILENO}) {
    CHECK(descriptors[each].starts_with("pipe:["));
    CHECK(std::count_if(masters.begin(), masters.end(),
                        [&](const auto& held) { return held.second == descriptors[each]; }) == 1);
  }
}

TEST_CASE("what baton itself was given without CLOEXEC goes no further") {
  const baton::Fd low{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
  const baton::Fd high{::fcntl(low.get(), F_DUPFD_CLOEXEC, 200)};
  Baton baton(one_odd_worker, {{}, {low.get(), high.get()}, {}});
  const Worker worker = first_odd_worker(baton);
  CHECK(descriptors_of(baton.pid()).at(high.get()) == "/dev/zero");  // or else this proves nothing
  CHECK(descriptors_of(baton.pid()).at(low.get()) == "/dev/zero");
  CHECK(descriptors_of(worker.pid).size() == 4);
}

TEST_CASE("a foreign worker has default signal handling, whatever baton was started with") {
  const auto spoil = [] {
    static_cast<void>(::signal(SIGPIPE, SIG_IGN));
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigaddset(&term, SIGUSR2);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
  };
  Baton baton(one_odd_worker, {{}, {}, spoil});
  const Worker worker = first_odd_worker(baton);
  CHECK((signals_of(worker.pid, "SigIgn") & in_mask(SIGPIPE)) == 0);
  CHECK((signals_of(worker.pid, "SigBlk") & ~in_mask(SIGUSR1)) == 0);  // which the odd worker blocks itself
  CHECK((signals_of(worker.pid, "SigCgt") & in_mask(SIGTERM)) == 0);
}

TEST_CASE("baton started with TERM blocked can be stopped by it") {
  Baton baton({"-w", "1"}, {{}, {}, [] {
                              sigset_t term;
                              sigemptyset(&term);
                              sigaddset(&term, SIGTERM);
                              ::sigprocmask(SIG_BLOCK, &term, nullptr);
                            }});
  baton.workers();
  CHECK(baton.stop(SIGTERM) == "code 0");
}

TEST_CASE("a foreign worker's group is its own, so that a terminal's Ctrl-C reaches the master alone") {
  Baton baton(one_odd_worker);
  const Worker worker = first_odd_worker(baton);
  CHECK(::getpgid(worker.pid) == worker.pid);
  CHECK(::getpgid(baton.pid()) == baton.pid());
}

TEST_CASE("baton started with closed standard streams hands none of its own descriptors out as those") {
  const auto close_streams = [] {
    ::close(STDIN_FILENO);
    ::close(STDOUT_FILENO);
  };
  std::vector<std::string> arguments = one_odd_worker;
  arguments.insert(arguments.begin(), "--raw-output");
  Baton baton(arguments, {{}, {}, close_streams});
  const Worker worker = first_odd_worker(baton);
  const auto descriptors = descriptors_of(worker.pid);
  CHECK(descriptors.size() == 4);
  CHECK(descriptors.at(STDIN_FILENO) == "/dev/null");
  CHECK(descriptors.at(STDOUT_FILENO) == "/dev/null");
}
