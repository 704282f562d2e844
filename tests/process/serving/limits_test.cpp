// Process tests. A worker at a limit: of connections, and of descriptors.
#include <sys/resource.h>

#include <map>
#include <memory>
#include <vector>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// A connection that has had an answer, and is kept open.
struct Held {
  explicit Held(const std::string& address) : connection(address) {
    connection.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    pid = pid_in(connection.read_response());
  }
  Connection connection;
  pid_t pid = 0;
};

}  // namespace

TEST_CASE("a worker at its limit of connections leaves the next ones to the other, and takes more when one ends") {
  Baton baton({"-w", "2", "--max-connections", "3"});
  baton.workers();
  std::vector<std::unique_ptr<Held>> held;
  std::map<pid_t, int> shares;
  for (int i = 0; i < 6; ++i) {
    held.push_back(std::make_unique<Held>(baton.address()));
    ++shares[held.back()->pid];
  }
  for (const pid_t each : baton.pids()) CHECK(shares[each] == 3);

  Connection waiting(baton.address());
  waiting.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  CHECK_FALSE(waiting.is_readable_within(200));
  const pid_t freed = held.front()->pid;
  held.erase(held.begin());
  CHECK(pid_in(waiting.read_response()) == freed);
}

TEST_CASE("a worker out of descriptors neither spins nor dies, and serves again once connections close") {
  // Fewer than the worker sets aside for itself, so that its own limit of connections does not come first.
  const auto lower = [] {
    const rlimit few{36, 36};
    ::setrlimit(RLIMIT_NOFILE, &few);
  };
  Baton baton({"-w", "1", "--header-timeout", "2s"}, {{}, {}, lower});
  const pid_t worker = baton.pids().front();
  // UBSan looks at an object's type through a pipe of its own when it first meets one, which must not be when there is
  // no descriptor left: it would take the object for a broken one.
  answering_pid(baton.address());
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < 50; ++i) connections.push_back(std::make_unique<Connection>(baton.address()));
  baton.wait_for("can't accept with");
  const auto before = cpu_ticks(worker);
  CHECK(descriptors_of(worker).size() == 36);

  // Two seconds at the limit, until the first is cut off for its silence.
  CHECK(connections.front()->read_to_end().empty());
  const auto spent = cpu_ticks(worker) - before;
  CHECK(spent < 40);

  connections.back()->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  CHECK(pid_in(connections.back()->read_response()) == worker);
  connections.clear();
  CHECK(answering_pid(baton.address()) == worker);
}

TEST_CASE("a worker fits its limit of connections into the limit of open files") {
  const auto lower = [] {
    const rlimit some{80, 80};
    ::setrlimit(RLIMIT_NOFILE, &some);
  };
  Baton baton({"-w", "1", "--header-timeout", "300ms"}, {{}, {}, lower});
  const pid_t worker = baton.pids().front();
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < 100; ++i) connections.push_back(std::make_unique<Connection>(baton.address()));
  connections.back()->send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
  CHECK(pid_in(connections.back()->read_response()) == worker);
  CHECK_FALSE(baton.log_has("can't accept"));
}

TEST_CASE("a master without descriptors for all its workers ends with code 1, and leaves none of them") {
  const rlim_t files = GENERATE(range(rlim_t{20}, rlim_t{32}));  // whichever call of a spawn it is that finds none left
  Program baton({{programs::baton(), "-w", "100", "-l", "127.0.0.1:0"}, {}, {}, [files] {
                   const rlimit limit{files, files};
                   ::setrlimit(RLIMIT_NOFILE, &limit);
                 }});
  CHECK(baton.wait_for_end() == "code 1");
  CHECK(baton.errors().find("raise the limit of open files") != std::string::npos);
  CHECK(strays() == std::vector<std::string>{});
}
