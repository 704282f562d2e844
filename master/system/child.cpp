// Master. The only file that knows Boost.Process.
#include "master/system/child.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// Boost 1.81's process/v2 uses these without including them, so they come first.
#include <boost/asio/detail/throw_error.hpp>
#include <boost/optional.hpp>
#include <boost/type_traits.hpp>

#include <boost/process/v2.hpp>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <string_view>

#include "common/error.hpp"

namespace baton {
namespace {

namespace process = boost::process::v2;

constexpr int first_inherited = 3;

/// The variable in the child's environment that it fills in itself.
class OwnPid {
 public:
  OwnPid(const std::string& variable, std::vector<std::string>& environment) {
    if (variable.empty()) return;
    std::string& entry = environment.emplace_back(variable + "=");
    start_ = entry.size();
    entry.resize(start_ + std::numeric_limits<pid_t>::digits10 + 1, '\0');
    entry_ = entry.data();
  }
  /// In the child, which has a copy of it.
  void fill_in() const {
    if (entry_ == nullptr) return;
    std::to_chars(entry_ + start_, entry_ + start_ + std::numeric_limits<pid_t>::digits10 + 1, ::getpid());
  }

 private:
  char* entry_ = nullptr;
  std::size_t start_ = 0;
};

/// Runs in the child between fork and exec, where only async-signal-safe calls are allowed.
struct ChildSetup {
  const SpawnSetup& setup;
  const std::vector<Fd>& descriptors;  ///< all above those that they become
  const char* const* arguments;
  const OwnPid& own_pid;
  const StepNote& note;

  // Boost puts the executable's path into argv[0]; a program is to see the name it was called by.
  template <class Launcher>
  boost::system::error_code on_setup(Launcher& launcher, const std::filesystem::path& /*executable*/,
                                     const char* const*& command_line) {
    for (std::size_t i = 0; i < descriptors.size(); ++i)
      launcher.fd_whitelist.push_back(first_inherited + static_cast<int>(i));
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
    // Before the others, which may take their numbers.
    if (setup.output.is_open() && ::dup2(setup.output.get(), STDOUT_FILENO) == -1) return failure();
    if (setup.errors.is_open() && ::dup2(setup.errors.get(), STDERR_FILENO) == -1) return failure();
    // What this process inherited itself without CLOEXEC goes no further; Boost closes only what lies above the
    // highest descriptor it is told to keep.
    ::close_range(STDERR_FILENO + 1, std::numeric_limits<unsigned>::max(), CLOSE_RANGE_CLOEXEC);
    for (std::size_t i = 0; i < descriptors.size(); ++i)
      if (::dup2(descriptors[i].get(), first_inherited + static_cast<int>(i)) == -1) return failure();
    if (!apply(setup.traits, note)) return failure();
    note.put(Step::program);
    own_pid.fill_in();
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Ignored signals stay ignored over exec, and some are by us.
    for (int number = 1; number < NSIG; ++number) static_cast<void>(::signal(number, SIG_DFL));
    return {};
  }
};

/// Above the numbers that they are to have in the child, so that none of them is in another's way.
std::vector<Fd> raised(const std::vector<Fd>& descriptors) {
  const int least = first_inherited + static_cast<int>(descriptors.size());
  std::vector<Fd> above;
  above.reserve(descriptors.size());
  for (const Fd& each : descriptors) above.emplace_back(check(::fcntl(each.get(), F_DUPFD_CLOEXEC, least), "fcntl"));
  return above;
}

/// Takes the numbers that the child's descriptors are to have, as far as they are free, so that the pipe by which
/// Boost hears of a failed exec gets none of them.
std::vector<Fd> occupied(std::size_t count) {
  std::vector<Fd> taken;
  for (std::size_t i = 0; i < count; ++i) {
    Fd next{check(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, first_inherited), "fcntl")};
    if (next.get() >= first_inherited + static_cast<int>(count)) break;
    taken.push_back(std::move(next));
  }
  return taken;
}

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

Child Child::spawn(const boost::asio::any_io_executor& executor, const Command& command, const SpawnSetup& setup) {
  const std::vector<const char*> arguments = pointers(command.arguments);
  std::vector<std::string> variables = setup.variables;
  if (!setup.pid_variable.empty()) variables.push_back(setup.pid_variable);  // not somebody else's
  std::vector<std::string> environment = environment_with(variables);
  const OwnPid own_pid(setup.pid_variable, environment);
  const std::vector<const char*> environment_pointers = pointers(environment);
  const std::vector<Fd> descriptors = raised(setup.descriptors);
  const std::vector<Fd> low = occupied(descriptors.size());
  const StepNote note;

  process::posix::default_launcher launcher;
  launcher.env = environment_pointers.data();
  boost::system::error_code error;
  auto spawned = launcher(executor, error, command.executable, std::vector<std::string>{},
                          ChildSetup{setup, descriptors, arguments.data(), own_pid, note});
  if (error) {
    if (launcher.pid > 0) ::waitpid(launcher.pid, nullptr, 0);  // Boost leaves a child whose exec failed to us
    throw StartError(fmt::format("can't start \"{}\": {}", command.arguments.front(),
                                 describe_failure(note.get(), error.value(), setup.traits)));
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
