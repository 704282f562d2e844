// The composition root: one binary, two roles, the client of the control socket, and two helpers. Nothing else knows
// both roles.
#include <fcntl.h>
#include <fmt/format.h>
#include <nss.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/settings.hpp"
#include "master/client/client.hpp"
#include "master/doctor/doctor.hpp"
#include "master/init/init.hpp"
#include "master/master.hpp"
#include "worker/worker.hpp"

namespace {

constexpr int usage_error = 2;

/// A descriptor of ours that came to be 0, 1 or 2 would be written to as a log, or handed to every child.
void ensure_standard_streams() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor)
    if (::fcntl(descriptor, F_GETFD) == -1) static_cast<void>(::open("/dev/null", O_RDWR));
}

/// The static binary can't load the modules that nsswitch.conf names, and crashes where it tries to. The files
/// themselves it can read.
void look_names_up_in_files_alone() {
#ifdef BATON_STATIC
  for (const char* const list : {"passwd", "group", "initgroups"}) ::__nss_configure_lookup(list, "files");
#endif
}

int run(std::vector<std::string> arguments) {
  const std::string first = arguments.empty() ? "" : arguments.front();
  const char* const role = first == "worker" ? "baton worker" : "baton";
  try {
    if (baton::is_client_command(first)) return baton::run_client(arguments);
    if (baton::is_doctor_command(first)) return baton::run_doctor(arguments);
    if (baton::is_init_command(first)) return baton::run_init(arguments);
    if (first != "worker") return baton::run_master(arguments);
    arguments.erase(arguments.begin());
    return baton::run_worker(arguments);
  } catch (const baton::InformationAsked& asked) {
    fmt::print("{}", asked.text);
    return EXIT_SUCCESS;
  } catch (const baton::UsageError& error) {
    fmt::print(stderr, "{}: {}\n", role, error.what());
    return usage_error;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", role, error.what());
    return EXIT_FAILURE;
  }
}

}  // namespace

int main(int argc, char** argv) {
  ensure_standard_streams();
  look_names_up_in_files_alone();
  // argv may be empty: a caller of execve(2) decides.
  return run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
