// Doctor. From the flags to the report, and home again whatever happens.
#include "master/doctor/doctor.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <memory>

#include "common/error.hpp"
#include "master/doctor/examination.hpp"
#include "master/system/terminal.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;

constexpr int not_run = 3;
constexpr int by_signal = 128;

int examine(const doctor::Plan& plan) {
  // What the examined baton leaves when it is killed comes to us, and ends with us.
  check(::prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl(PR_SET_CHILD_SUBREAPER)");
  asio::io_context context{1};
  int signal = 0;
  asio::signal_set signals(context, SIGINT, SIGTERM, SIGHUP);
  signals.async_wait([&](const boost::system::error_code& cancelled, int number) {
    if (cancelled) return;
    signal = number;
    context.stop();
  });
  asio::steady_timer limit(context, plan.time_limit);
  limit.async_wait([&](const boost::system::error_code& cancelled) {
    if (!cancelled) context.stop();
  });
  auto examination = std::make_unique<doctor::Examination>(context.get_executor(), plan);
  std::exception_ptr failure;
  asio::co_spawn(context, examination->run(), [&](const std::exception_ptr& error) {
    failure = error;
    context.stop();
  });
  context.run();
  if (signal != 0) return by_signal + signal;
  if (failure) std::rethrow_exception(failure);
  const doctor::Report report = examination->report();
  examination.reset();  // whoever reads the report may have gone, and that ends this process
  fmt::print("{}", plan.as_json ? doctor::report_json(report) : doctor::report_text(report, wants_colours(stdout)));
  return report.is_healthy() ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int run_doctor(const std::vector<std::string>& arguments) {
  const doctor::Plan plan = doctor::parse_plan({arguments.begin() + 1, arguments.end()});
  try {
    return examine(plan);
  } catch (const std::exception& error) {  // StartError, std::system_error
    fmt::print(stderr, "baton doctor: {}\n", error.what());
    return not_run;
  }
}

}  // namespace baton
