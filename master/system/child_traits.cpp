// Master. The steps, in the order in which none takes away what a later one needs.
#include "master/system/child_traits.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/error.hpp"

namespace baton {
namespace {

std::string user_of(const ChildTraits& traits) {
  return traits.account ? traits.account->name : std::string{};
}

std::string what_failed(Step step, const ChildTraits& traits) {
  switch (step) {
    case Step::open_files:
      return fmt::format("can't set the limit of open files to {}: ",
                         traits.open_files ? traits.open_files->rlim_cur : rlim_t{0});
    case Step::nice:
      return fmt::format("can't set the niceness to {}: ", traits.nice.value_or(0));
    case Step::umask:
      return "can't set the umask: ";
    case Step::directory:
      return fmt::format("can't change to the directory {}: ", traits.directory);
    case Step::groups:
      return fmt::format("can't take the groups of user {}: ", user_of(traits));
    case Step::group:
      return fmt::format("can't change to group {}: ", traits.account ? traits.account->group : gid_t{0});
    case Step::user:
      return fmt::format("can't change to user {}: ", user_of(traits));
    case Step::before:
    case Step::program:
      return {};
  }
  return {};
}

std::string way_out_of(Step step, int error, const ChildTraits& traits) {
  switch (step) {
    case Step::open_files:
      return error == EPERM ? " (above the hard limit only root may, and nobody above fs.nr_open)" : "";
    case Step::nice:
      return " (a lower one than baton's own needs root, CAP_SYS_NICE or RLIMIT_NICE)";
    case Step::directory:
      return " (--cwd names it)";
    case Step::groups:
    case Step::group:
    case Step::user:
      return error == EPERM ? " (baton must be root, with CAP_SETUID and CAP_SETGID, for --user and --group)" : "";
    case Step::program:
      if (error == EACCES && traits.account)
        return fmt::format(" (may user {} execute it? chmod +x it, and its directories)", user_of(traits));
      return way_out(error);
    case Step::before:
    case Step::umask:
      return way_out(error);
  }
  return {};
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

StepNote::StepNote() {
  void* const page = ::mmap(nullptr, sizeof(Step), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  page_ = static_cast<volatile Step*>(page);
}

StepNote::~StepNote() {
  ::munmap(const_cast<Step*>(page_), sizeof(Step));
}

bool apply(const ChildTraits& traits, const StepNote& note) {
  note.put(Step::open_files);
  if (traits.open_files && ::setrlimit(RLIMIT_NOFILE, &*traits.open_files) == -1) return false;
  note.put(Step::nice);
  if (traits.nice && ::setpriority(PRIO_PROCESS, 0, *traits.nice) == -1) return false;
  if (traits.umask) ::umask(*traits.umask);
  note.put(Step::directory);
  if (!traits.directory.empty() && ::chdir(traits.directory.c_str()) == -1) return false;
  if (traits.parent_death_signal != 0) ::prctl(PR_SET_PDEATHSIG, traits.parent_death_signal);
  if (!traits.account) return true;
  const Account& account = *traits.account;
  note.put(Step::groups);
  if (::setgroups(account.groups.size(), account.groups.data()) == -1) return false;
  note.put(Step::group);
  if (::setresgid(account.group, account.group, account.group) == -1) return false;
  note.put(Step::user);
  return ::setresuid(account.user, account.user, account.user) == 0;
}

std::string describe_failure(Step step, int error, const ChildTraits& traits) {
  return what_failed(step, traits) + describe_errno(error) + way_out_of(step, error, traits);
}

}  // namespace baton
