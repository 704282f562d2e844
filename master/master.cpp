// Master. From start to stop.
#include "master/master.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "common/log.hpp"
#include "master/control/control.hpp"
#include "master/control/control_path.hpp"
#include "master/control/systemd_notifications.hpp"
#include "master/settings/options.hpp"
#include "master/settings/policy_compatibility.hpp"
#include "master/supervisor/supervisor.hpp"
#include "master/system/pid_file.hpp"
#include "master/system/task.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;

class Master {
 public:
  Master(std::vector<std::string> arguments, GivenSockets sockets)
      : arguments_(std::move(arguments)), sockets_(std::move(sockets)) {}

  void run(Options options);

 private:
  asio::awaitable<void> follow_signals();
  void on_signal(int signal);
  void open_control();
  void open_worker_socket(const Options& options);
  void scale_by(std::string_view amount);
  void announce() const;
  void end();

  std::vector<std::string> arguments_;  ///< read again by every reload
  GivenSockets sockets_;
  asio::io_context context_{1};
  asio::signal_set signals_{context_};
  std::optional<PidFile> pid_file_;
  Supervisor supervisor_{context_.get_executor(), [this] { return parse_options(arguments_, sockets_); },
                         [this] { end(); }};
  std::optional<Control> control_;
  std::optional<Control> worker_socket_;  ///< the workers'
  std::optional<SystemdNotifications> systemd_;
  bool ended_ = false;
  bool ends_with_terminal_ = false;  ///< it was started in one, and without nohup
};

/// Whether there is a controlling terminal, and somebody behind it.
bool has_terminal() {
  return Fd{::open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)}.is_open();
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void Master::run(Options options) {
  ends_with_terminal_ = has_terminal() && !is_ignored(SIGHUP);
  for (const int each : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGTTIN, SIGTTOU, SIGUSR1, SIGCHLD}) signals_.add(each);
  // What a worker leaves behind comes to us, and not to init, where nobody would know to stop it.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (!options.pid_file.empty()) pid_file_.emplace(options.pid_file);
  supervisor_.bind(std::move(options));
  open_control();
  supervisor_.start();
  announce();
  systemd_.emplace(context_.get_executor(), supervisor_.commands());
  start_task(context_.get_executor(), follow_signals());
  context_.run();
}

/// Where nobody asked for a certain one, its failure is no reason not to serve.
void Master::open_control() {
  const Options& options = supervisor_.generation().options;
  const bool is_asked_for = !options.control.empty() || !options.name.empty();
  try {
    control_.emplace(context_.get_executor(), supervisor_.commands(),
                     options.control.empty() ? default_control_path(supervisor_.status().name()) : options.control);
    supervisor_.status().set_control(control_->path());
  } catch (const std::runtime_error& error) {  // StartError, std::system_error
    if (is_asked_for) throw;
    log::warning("no control socket: {} (--control names another)", error.what());
  }
  if (control_ && !options.command.empty()) open_worker_socket(options);
}

/// A control socket for the workers of a command, on which they can do less. It is beside the owner's.
void Master::open_worker_socket(const Options& options) {
  ControlAccess access{Audience::workers};
  if (options.process.account) access.account = options.process.account->user;
  try {
    worker_socket_.emplace(context_.get_executor(), supervisor_.commands(), control_->path() + ".workers",
                           ControlLimits{}, access);
    supervisor_.set_worker_socket(worker_socket_->path());
  } catch (const std::runtime_error& error) {  // StartError, std::system_error
    return log::warning("workers have no control socket (BATON_CONTROL): {}", error.what());
  }
  if (!access.account || *access.account == 0) return;
  if (const std::string closed = directory_closed_to(*access.account, worker_socket_->path()); !closed.empty())
    log::warning(
        "the user {} can't reach the workers' control socket {}: {} is closed to it (chmod o+x {}, or --control "
        "elsewhere)",
        options.process.user, worker_socket_->path(), closed, closed);
}

void Master::announce() const {
  const Generation& generation = supervisor_.generation();
  std::string addresses;
  bool has_own = false;
  for (const auto& each : generation.listeners) {
    addresses += (addresses.empty() ? "" : ", ") + each->summary();
    has_own = has_own || each->policy().has_own_addresses();
  }
  addresses = addresses.empty() ? "where its workers ask" : "on " + addresses;
  const unsigned workers = generation.options.workers;
  log::info("baton {} · listening {} · {} worker{}{}", BATON_VERSION, addresses, workers, workers == 1 ? "" : "s",
            has_own ? ", each on a port of its own" : "");
  const Options& options = generation.options;
  if (!options.dialect_reason.empty())
    log::info("dialect {}, because {} (--dialect)", baton::name(options.dialect), options.dialect_reason);
}

asio::awaitable<void> Master::follow_signals() {
  boost::system::error_code cancelled;
  while (!ended_) {
    const int signal = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (!cancelled) on_signal(signal);
  }
}

void Master::scale_by(std::string_view amount) {
  try {
    supervisor_.commands().scale(amount, [](const Outcome&) {});
  } catch (const UsageError& error) {  // one too many
    log::warning("{}", error.what());
  }
}

void Master::end() {
  ended_ = true;  // a signal may be on its way to follow_signals(), where there is nothing to cancel then
  signals_.cancel();
  if (systemd_) systemd_->end();
  if (control_) control_->close();
  if (worker_socket_) worker_socket_->close();
}

void Master::on_signal(int signal) {
  const Done nobody_waits = [](const Outcome&) {};
  switch (signal) {
    case SIGHUP:
      // Of a terminal that was closed it is the old meaning: nobody is left to stop us.
      if (ends_with_terminal_ && !has_terminal()) break;
      return supervisor_.commands().reload(nobody_waits);
    case SIGTTIN:
      return scale_by("+1");
    case SIGTTOU:
      return scale_by("-1");
    case SIGUSR1:
      return supervisor_.reopen_output();
    case SIGCHLD:
      return supervisor_.on_child_signal();
    default:
      break;
  }
  if (!supervisor_.is_stopping()) return supervisor_.commands().stop(nobody_waits);
  if (signal != SIGINT) return;
  log::warning("interrupted again: the workers are killed");
  supervisor_.kill();
}

}  // namespace

int run_master(const std::vector<std::string>& arguments) {
  // Of a worker that becomes a master it is the way to its own master.
  if (std::getenv("BATON_WORKER") != nullptr) ::unsetenv("BATON_CONTROL");
  GivenSockets sockets = GivenSockets::take();
  const Options options = parse_options(arguments, sockets);
  check_policy_compatibility(options, options.workers);
  log::start(options.worker.log, {"master"});
  for (const std::string& warning : options.warnings) log::warning("{}", warning);
  // Neither a closed standard error nor a file at the limit of its size (ulimit -f) must end the master, and a mask
  // that it inherited must not keep it from being stopped; workers get the defaults back.
  for (const int each : {SIGPIPE, SIGXFSZ}) static_cast<void>(std::signal(each, SIG_IGN));
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  Master(arguments, std::move(sockets)).run(options);
  return EXIT_SUCCESS;
}

}  // namespace baton
