// Master. From start to stop.
#include "master/master.hpp"

#include <fmt/format.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <optional>
#include <utility>

#include "common/log.hpp"
#include "master/listener.hpp"
#include "master/options.hpp"
#include "master/pid_file.hpp"
#include "master/supervisor.hpp"
#include "master/task.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;

class Master {
 public:
  explicit Master(Options options) : options_(std::move(options)) {}

  int run();

 private:
  asio::awaitable<void> follow_signals();
  void stop(int signal);
  void announce() const;

  Options options_;
  asio::io_context context_{1};
  asio::signal_set signals_{context_, SIGTERM, SIGINT, SIGQUIT};
  std::vector<Listener> listeners_;
  std::optional<PidFile> pid_file_;
  Supervisor supervisor_{context_.get_executor(), options_, [this] { signals_.cancel(); }};
};

int Master::run() {
  if (!options_.pid_file.empty()) pid_file_.emplace(options_.pid_file);
  for (const ListenAddress& address : options_.listen) listeners_.push_back(listen_on(address, options_.backlog));
  supervisor_.start(listeners_);
  announce();
  start_task(context_.get_executor(), follow_signals());
  context_.run();
  if (supervisor_.is_stopping()) return EXIT_SUCCESS;
  log::error("no worker is left to answer on {}: stopping", listeners_.front().address);
  return EXIT_FAILURE;
}

void Master::announce() const {
  std::string addresses;
  for (const Listener& each : listeners_) addresses += (addresses.empty() ? "" : ", ") + each.address;
  log::info("baton {} · listening on {} · {} worker{}", BATON_VERSION, addresses, options_.workers,
            options_.workers == 1 ? "" : "s");
}

asio::awaitable<void> Master::follow_signals() {
  boost::system::error_code cancelled;
  while (!cancelled) {
    const int signal = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (!cancelled) stop(signal);
  }
}

void Master::stop(int signal) {
  if (supervisor_.is_stopping()) {
    if (signal != SIGINT) return;
    log::warning("interrupted again: the workers are killed");
    return supervisor_.kill();
  }
  log::info("stopping: workers finish what they are answering");
  for (Listener& each : listeners_) each.file.reset();
  supervisor_.stop();
}

}  // namespace

int run_master(const std::vector<std::string>& arguments) {
  Options options = parse_options(arguments);
  log::start(options.worker.log, {"master"});
  for (const std::string& warning : options.warnings) log::warning("{}", warning);
  // A closed standard error must not end the master, and a mask that it inherited must not keep it from being stopped;
  // workers get the defaults back.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  return Master(std::move(options)).run();
}

}  // namespace baton
