// Process and interop tests. fork, exec, pipes, pidfds, and who is left over.
#include "tests/support/programs/program.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <set>
#include <utility>

#include "tests/support/catch/catch.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

namespace baton::test {
namespace {

/// Started by this test and not collected: no strays.
std::set<pid_t>& known() {
  static std::set<pid_t> pids;
  return pids;
}

bool test_has_failed = false;

#if CATCH_VERSION_MAJOR < 3
using Listener = Catch::TestEventListenerBase;
#else
using Listener = Catch::EventListenerBase;
#endif

/// Lets a failed test show what its programs wrote.
class FailureListener : public Listener {
 public:
  using Listener::Listener;
  void testCaseStarting(const Catch::TestCaseInfo& /*info*/) override { test_has_failed = false; }
#if CATCH_VERSION_MAJOR < 3
  bool assertionEnded(const Catch::AssertionStats& stats) override {
    test_has_failed = test_has_failed || !stats.assertionResult.isOk();
    return true;
  }
#else
  void assertionEnded(const Catch::AssertionStats& stats) override {
    test_has_failed = test_has_failed || !stats.assertionResult.isOk();
  }
#endif
};
CATCH_REGISTER_LISTENER(FailureListener)

std::pair<Fd, Fd> make_pipe() {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
  return {Fd{ends[0]}, Fd{ends[1]}};
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  for (std::string& each : strings) list.push_back(each.data());
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> environment_with(std::vector<std::string> variables) {
  const bool has_own = std::any_of(variables.begin(), variables.end(),
                                   [](const std::string& each) { return each.starts_with("XDG_RUNTIME_DIR="); });
  if (!has_own) variables.push_back("XDG_RUNTIME_DIR=" + runtime_directory());
  std::vector<std::string> environment = variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    bool is_replaced = text.starts_with("BATON_") || text.starts_with("NODE_");
    for (const std::string& each : variables)
      is_replaced = is_replaced || text.starts_with(each.substr(0, each.find('=') + 1));
    if (!is_replaced) environment.emplace_back(text);
  }
  return environment;
}

/// No core files: many of these programs are killed on purpose.
void forbid_cores() {
  const rlimit none{};
  ::setrlimit(RLIMIT_CORE, &none);
}

[[noreturn]] void run_child(const Launch& launch, const Fd& out, const Fd& err) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // so that a test that ctest kills for its time leaves nothing
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  static_cast<void>(::signal(SIGPIPE, SIG_DFL));
  forbid_cores();
  ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  ::dup2(out.get(), STDOUT_FILENO);
  ::dup2(err.get(), STDERR_FILENO);
  for (const int each : launch.descriptors) ::fcntl(each, F_SETFD, 0);
  std::vector<std::string> command = launch.command;
  std::vector<std::string> environment = environment_with(launch.variables);
  if (launch.before_exec) launch.before_exec();
  ::execvpe(command.front().c_str(), pointers(command).data(), pointers(environment).data());
  std::perror(command.front().c_str());
  ::_exit(127);
}

}  // namespace

std::string runtime_directory() {
  static const Directory directory;
  std::filesystem::create_directory(directory / "run");
  return directory / "run";
}

Program::Program(const Launch& launch) {
  static_cast<void>(runtime_directory());  // made here rather than in the child
  for (const std::string& each : launch.command) name_ += (name_.empty() ? "" : " ") + each;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto [out, out_end] = make_pipe();
  auto [err, err_end] = make_pipe();
  pid_ = check(::fork(), "fork");
  if (pid_ == 0) run_child(launch, out_end, err_end);
  ::setpgid(pid_, pid_);  // whichever of the two comes first
  known().insert(pid_);
  pidfd_ = open_pidfd(pid_);
  set_nonblocking(out);
  set_nonblocking(err);
  out_.pipe = std::move(out);
  err_.pipe = std::move(err);
}

Program::~Program() {
  if (!ended_) {
    kill_group();
    static_cast<void>(try_wait_for_end(Deadline()));
  }
  if (test_has_failed) show();
}

void Program::show() const {
  constexpr std::size_t most = 100;  // lines at the beginning, and at the end
  const std::vector<std::string> all = lines();
  std::cerr << "---- " << name_ << " [" << pid_ << "]: " << ended_.value_or("did not end") << '\n';
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i < most || i + most >= all.size()) std::cerr << all[i] << '\n';
    if (i == most && all.size() > 2 * most) std::cerr << "(" << all.size() - 2 * most << " lines)\n";
  }
  std::cerr << "---- end of its standard error" << std::endl;
}

void Program::signal(int number) const {
  signal_process(pidfd_, number);
}

void Program::kill_group() const {
  ::kill(-pid_, SIGKILL);
}

void Program::Stream::drain() {
  std::array<char, 64 * 1024> bytes;
  while (pipe.is_open()) {
    const ssize_t count = ::read(pipe.get(), bytes.data(), bytes.size());
    if (count == 0) pipe.reset();
    if (count <= 0) return;
    text.append(bytes.data(), static_cast<std::size_t>(count));
  }
}

void Program::read_some(const Deadline& deadline) {
  std::array<pollfd, 3> waits{pollfd{out_.pipe.get(), POLLIN, 0}, pollfd{err_.pipe.get(), POLLIN, 0},
                              pollfd{ended_ ? -1 : pidfd_.get(), POLLIN, 0}};
  ::poll(waits.data(), waits.size(), deadline.left_ms());
  // Its end first: what it had written by then is in the pipes.
  if (waits[2].revents != 0) {
    siginfo_t info{};
    check(::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED), "waitid");
    ended_ = fmt::format("{} {}", info.si_code == CLD_EXITED ? "code" : "signal", info.si_status);
    known().erase(pid_);
  }
  out_.drain();
  err_.drain();
}

std::vector<std::string> Program::wait_for(std::string_view part, std::size_t count) {
  const Deadline deadline;
  for (;;) {
    std::vector<std::string> found = lines_with(part);
    if (found.size() >= count) return {found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count)};
    const auto why = [&] { return fmt::format("{} line(s) with \"{}\", wanted {}", found.size(), part, count); };
    if (!err_.pipe.is_open()) fail(why() + ", and no more will come");
    if (deadline.has_passed()) fail(why() + " in time");
    read_some(deadline);
  }
}

std::optional<std::string> Program::try_wait_for_end(const Deadline& deadline) {
  while (!ended_ && !deadline.has_passed()) read_some(deadline);
  return ended_;
}

std::string Program::wait_for_end() {
  const auto end = try_wait_for_end(Deadline());
  if (!end) fail("it did not end in time");
  return *end;
}

std::vector<std::string> Program::lines_with(std::string_view part) const {
  std::vector<std::string> found;
  // By the whole text rather than by lines: it is looked through again for every few lines that come.
  const std::string& text = err_.text;
  for (auto at = text.find(part); at != std::string::npos;) {
    const auto end = text.find('\n', at);
    if (end == std::string::npos) break;
    const auto before = text.rfind('\n', at);
    const auto begin = before == std::string::npos ? 0 : before + 1;
    found.push_back(text.substr(begin, end - begin));
    at = text.find(part, end);
  }
  return found;
}

bool Program::read_until(const std::function<bool()>& condition, const Deadline& deadline) {
  while (!condition()) {
    if (deadline.has_passed() || !err_.pipe.is_open()) return false;
    read_some(deadline);
  }
  return true;
}

std::vector<std::string> Program::lines() const {
  return split_lines(err_.text);
}

void Program::fail(const std::string& why) const {
  FAIL(name_ << " [" << pid_ << "]: " << why);
  std::abort();  // FAIL throws, which the compiler is not told
}

Fd open_pidfd(pid_t pid) {
  return Fd{static_cast<int>(check(::syscall(SYS_pidfd_open, pid, 0), "pidfd_open"))};
}

void signal_process(const Fd& pidfd, int number) {
  check(::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0), "pidfd_send_signal");
}

bool has_ended(const Fd& pidfd, const Deadline& deadline) {
  pollfd wait{pidfd.get(), POLLIN, 0};
  return ::poll(&wait, 1, deadline.left_ms()) == 1;
}

std::vector<std::string> strays() {
  std::vector<std::string> found;
  for (const pid_t pid : children_of(::getpid())) {
    if (known().contains(pid)) continue;
    if (!is_dying(pid)) {
      found.push_back(fmt::format("pid {}: {}", pid, command_line(pid)));
      ::kill(pid, SIGKILL);
    }
    ::waitpid(pid, nullptr, 0);
  }
  return found;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace baton::test
