// Master. The only file that knows Boost.Process.
#include "master/child.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// Boost 1.81's process/v2 uses these without including them, so they come first.
#include <boost/asio/detail/throw_error.hpp>
#include <boost/optional.hpp>
#include <boost/type_traits.hpp>

#include <boost/process/v2.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <string_view>

#include "common/error.hpp"

namespace baton {
namespace {

namespace process = boost::process::v2;

/// Runs in the child between fork and exec, where only async-signal-safe calls are allowed.
struct ChildSetup {
  int channel;
  const char* const* arguments;
  const rlimit* open_files;

  // Boost puts the executable's path into argv[0]; a program is to see the name it was called by.
  template <class Launcher>
  boost::system::error_code on_setup(Launcher& launcher, const std::filesystem::path& /*executable*/,
                                     const char* const*& command_line) {
    launcher.fd_whitelist.push_back(channel);
    command_line = arguments;
    return {};
  }

  template <class Launcher>
  boost::system::error_code on_exec_setup(Launcher& /*launcher*/, const std::filesystem::path& /*executable*/,
                                          const char* const*& /*command_line*/) {
    const auto failure = [] { return boost::system::error_code(errno, boost::system::system_category()); };
    if (::setpgid(0, 0) == -1) return failure();
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null == -1 || ::dup2(null, STDIN_FILENO) == -1) return failure();
    // What this process inherited itself without CLOEXEC goes no further; Boost closes only what lies above the
    // highest descriptor it is told to keep.
    ::close_range(STDERR_FILENO + 1, std::numeric_limits<unsigned>::max(), CLOSE_RANGE_CLOEXEC);
    if (::fcntl(channel, F_SETFD, 0) == -1) return failure();
    if (open_files != nullptr && ::setrlimit(RLIMIT_NOFILE, open_files) == -1) return failure();
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Ignored signals stay ignored over exec, and SIGPIPE is one of ours.
    for (int number = 1; number < NSIG; ++number) static_cast<void>(::signal(number, SIG_DFL));
    return {};
  }
};

std::vector<const char*> pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> list;
  list.reserve(strings.size() + 1);
  for (const std::string& each : strings) list.push_back(each.c_str());
  list.push_back(nullptr);
  return list;
}

std::string_view variable(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> environment;
  for (const std::string& each : variables)
    if (each.find('=') != std::string::npos) environment.push_back(each);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool is_replaced = false;
    for (const std::string& each : variables) is_replaced = is_replaced || variable(each) == variable(*entry);
    if (!is_replaced) environment.emplace_back(*entry);
  }
  return environment;
}

}  // namespace

std::string way_out(int error) {
  switch (error) {
    case EACCES:
      return " (is it executable? chmod +x)";
    case ENOENT:
      return " (does it, or the interpreter in its first line, exist?)";
    case ENOEXEC:
      return " (a script needs #! and its interpreter in the first line)";
    case EMFILE:
    case ENFILE:
      return " (raise the limit of open files: ulimit -n)";
    case EAGAIN:
      return " (the limit of processes is reached: ulimit -u)";
    default:
      return "";
  }
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  std::string path = name.empty() ? "" : process::environment::find_executable(name).string();
  if (path.empty()) throw StartError(fmt::format("can't start \"{}\": no such program in PATH", name));
  return path;
}

std::string describe(const Ending& ending) {
  if (!ending.by_signal) return fmt::format("exited with code {}", ending.number);
  const char* abbreviation = ::sigabbrev_np(ending.number);
  const std::string name =
      abbreviation != nullptr ? fmt::format("SIG{}", abbreviation) : fmt::format("signal {}", ending.number);
  return fmt::format("was killed by {} ({}{})", name, ::strsignal(ending.number),
                     ending.core_dumped ? ", core dumped" : "");
}

Child Child::spawn(const boost::asio::any_io_executor& executor, const Command& command, const Fd& channel,
                   const std::vector<std::string>& variables, const std::optional<rlimit>& open_files) {
  const std::vector<const char*> arguments = pointers(command.arguments);
  const std::vector<std::string> environment = environment_with(variables);
  const std::vector<const char*> environment_pointers = pointers(environment);

  process::posix::default_launcher launcher;
  launcher.env = environment_pointers.data();
  boost::system::error_code error;
  auto spawned = launcher(executor, error, command.executable, std::vector<std::string>{},
                          ChildSetup{channel.get(), arguments.data(), open_files ? &*open_files : nullptr});
  if (error) {
    if (launcher.pid > 0) ::waitpid(launcher.pid, nullptr, 0);  // Boost leaves a child whose exec failed to us
    throw StartError(fmt::format("can't start \"{}\": {}{}", command.arguments.front(), describe_errno(error.value()),
                                 way_out(error.value())));
  }
  spawned.detach();
  Fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, launcher.pid, 0))};
  if (!pidfd.is_open()) {
    const int cause = errno;
    ::kill(launcher.pid, SIGKILL);
    ::waitpid(launcher.pid, nullptr, 0);
    throw std::system_error(cause, std::generic_category(), "pidfd_open");
  }
  return {launcher.pid, std::move(pidfd)};
}

std::uint64_t Child::resident_memory() const {
  std::ifstream file(fmt::format("/proc/{}/statm", pid_));
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void Child::signal(int number) const {
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

void Child::kill_group() const {
  ::kill(-pid_, SIGKILL);
  signal(SIGKILL);  // it may have left its group
}

bool Child::has_ended(int patience_ms) const {
  pollfd state{pidfd_.get(), POLLIN, 0};
  return ::poll(&state, 1, patience_ms) == 1;
}

Ending Child::reap() const {
  siginfo_t info{};
  check(::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED), "waitid");
  return {info.si_code != CLD_EXITED, info.si_status, info.si_code == CLD_DUMPED};
}

}  // namespace baton
