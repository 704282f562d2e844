// Process tests. The kernel wakes one worker for a connection. One that dies or is stopped before it accepts takes the
// wake-up along, and nobody else would look. To meet that moment, a worker is run under ptrace(2), from system call to
// system call, until its wait has returned with something.
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/system/proc.hpp"
#include "tests/support/system/starvation.hpp"

using namespace baton::test;

namespace {

/// A worker that is held at the moment when its wait has returned. All calls must come from the thread that made it.
class TracedWorker {
 public:
  explicit TracedWorker(pid_t worker) : worker_(worker) {
    const long seized = ::ptrace(PTRACE_SEIZE, worker_, nullptr, PTRACE_O_TRACESYSGOOD);
    INFO("this test needs ptrace(2): root, or kernel.yama.ptrace_scope at most 1");
    REQUIRE(seized == 0);
    REQUIRE(::ptrace(PTRACE_INTERRUPT, worker_, nullptr, nullptr) == 0);
    int status = 0;
    REQUIRE(::waitpid(worker_, &status, __WALL) == worker_);
    go_on();
  }
  TracedWorker(const TracedWorker&) = delete;
  TracedWorker& operator=(const TracedWorker&) = delete;
  ~TracedWorker() {
    if (is_held_) ::ptrace(PTRACE_DETACH, worker_, nullptr, nullptr);
  }

  /// Whether it was just woken with something. Otherwise it is let go on to its next system call.
  bool has_caught() {
    int status = 0;
    if (::waitpid(worker_, &status, __WALL | WNOHANG) != worker_) return false;
    REQUIRE(WIFSTOPPED(status));
    is_held_ = true;
    __ptrace_syscall_info call{};
    check(::ptrace(PTRACE_GET_SYSCALL_INFO, worker_, sizeof call, &call), "ptrace");
    if (call.op == PTRACE_SYSCALL_INFO_ENTRY) entered_ = call.entry.nr;
    const bool is_wait = entered_ == SYS_epoll_wait || entered_ == SYS_epoll_pwait;
    if (call.op == PTRACE_SYSCALL_INFO_EXIT && is_wait && call.exit.rval > 0) return true;
    go_on();
    return false;
  }
  /// Lets it go, wherever it is.
  void let_go() {
    int status = 0;
    if (!is_held_) {
      REQUIRE(::ptrace(PTRACE_INTERRUPT, worker_, nullptr, nullptr) == 0);
      REQUIRE(::waitpid(worker_, &status, __WALL) == worker_);
    }
    release(0);
  }
  /// Lets it go, with that signal at once.
  void release(int signal) {
    is_held_ = false;
    REQUIRE(::ptrace(PTRACE_DETACH, worker_, nullptr, signal) == 0);
  }

 private:
  template <class Result>
  static void check(Result result, const char* call) {
    INFO(call);
    REQUIRE(result != -1);
  }
  void go_on() {
    is_held_ = false;
    REQUIRE(::ptrace(PTRACE_SYSCALL, worker_, nullptr, nullptr) == 0);
  }

  pid_t worker_;
  bool is_held_ = true;
  std::uint64_t entered_ = 0;
};

/// Connects again and again until the traced worker is caught, and returns the connection that it was woken for.
std::unique_ptr<Connection> catch_worker(TracedWorker& traced, const std::string& address) {
  const Deadline deadline;
  while (!deadline.has_passed()) {
    auto connection = std::make_unique<Connection>(address);
    connection->send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    while (!deadline.has_passed()) {
      if (traced.has_caught()) return connection;
      if (!connection->is_readable_within(1)) continue;
      // Not to its end, which may be the traced worker's to make.
      static_cast<void>(connection->read_response());
      break;
    }
  }
  FAIL("the worker was never woken");
  return nullptr;
}

/// Begins now: on the way to an answer are the master, its workers and this process.
ChargedTime charged_to(const Baton& baton) {
  std::vector<pid_t> concerned{baton.pid()};
  for (const auto& [number, pid] : baton.latest()) concerned.push_back(pid);
  return ChargedTime(std::move(concerned));
}

/// The longest of several waits for an answer, when the worker that was woken for it is let go with `signal`; with 0 it
/// is held on.
ChargedTime::Reading longest_wait_after(Baton& baton, int signal) {
  constexpr int rounds = 6;
  ChargedTime::Reading longest{};
  for (int i = 0; i < rounds; ++i) {
    CAPTURE(i);
    const pid_t victim = baton.latest().at(1);
    TracedWorker traced(victim);
    const auto connection = catch_worker(traced, baton.address());
    ChargedTime wait = charged_to(baton);
    if (signal != 0) traced.release(signal);
    const pid_t answered_by = pid_in(connection->read_response());
    longest = std::max(longest, wait.read());
    CHECK(answered_by != victim);
    if (signal == SIGKILL) baton.wait_for_successor({1, victim});
    if (signal == SIGSTOP) {
      REQUIRE(becomes_true([&] { return status_of(victim, "State").starts_with('T'); }));
      ::kill(victim, SIGCONT);
      REQUIRE(becomes_true([&] { return !status_of(victim, "State").starts_with('T'); }));
    }
  }
  return longest;
}

// The target is 100 ms. Those who only look with every sign of life, each 2.5 s, would be over this in one of six
// rounds but for a great chance.
constexpr ChargedTime::Reading most_wait{400ms, 400ms, 0ms};

}  // namespace

TEST_CASE("nobody waits for a worker that is killed between its wake-up and its accept") {
  Baton baton({"-w", "3"});
  baton.workers();
  CHECK(longest_wait_after(baton, SIGKILL) <= most_wait);
}

TEST_CASE("nobody waits for a worker that is stopped between its wake-up and its accept") {
  Baton baton({"-w", "3"});
  baton.workers();
  CHECK(longest_wait_after(baton, SIGSTOP) <= most_wait);
}

TEST_CASE("nobody waits for a worker that is stopped when the first connection wakes it, while no other looks around") {
  Baton baton({"-w", "2"});
  baton.workers();
  const auto workers = baton.latest();
  TracedWorker first(workers.at(1));
  TracedWorker second(workers.at(2));
  const auto waits = [&](TracedWorker& traced, int number) {
    return !traced.has_caught() && status_of(workers.at(number), "State").starts_with('S');
  };
  REQUIRE(becomes_true([&] { return waits(first, 1) && waits(second, 2); }));
  Connection connection(baton.address());
  connection.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  bool is_first = false;
  REQUIRE(becomes_true([&] { return (is_first = first.has_caught()) || second.has_caught(); }));
  ChargedTime wait = charged_to(baton);
  (is_first ? first : second).release(SIGSTOP);
  (is_first ? second : first).let_go();
  CHECK(pid_in(connection.read_response()) == workers.at(is_first ? 2 : 1));
  CHECK(wait.read() <= most_wait);
  ::kill(workers.at(is_first ? 1 : 2), SIGCONT);
}

TEST_CASE("nobody waits for a worker that is held, of which the master is told nothing") {
  Baton baton({"-w", "3"});
  baton.workers();
  CHECK(longest_wait_after(baton, 0) <= most_wait);
}
