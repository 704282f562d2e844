// Master. The calls, and /proc.
#include "master/system/open_files.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/error.hpp"

namespace baton {

rlimit raise_open_files() {
  rlimit before{};
  check(::getrlimit(RLIMIT_NOFILE, &before), "getrlimit");
  rlimit raised = before;
  raised.rlim_cur = raised.rlim_max;
  check(::setrlimit(RLIMIT_NOFILE, &raised), "setrlimit");
  return before;
}

std::size_t open_files_of(pid_t process) {
  const std::string directory = fmt::format("/proc/{}/fd", process);
  struct stat status {};
  if (::stat(directory.c_str(), &status) == -1) return 0;
  // Since Linux 6.2 it is the number of entries; before, 0.
  if (status.st_size > 0) return static_cast<std::size_t>(status.st_size);
  std::error_code error;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator each(directory, error), end; !error && each != end; each.increment(error))
    ++count;
  return count;
}

}  // namespace baton
