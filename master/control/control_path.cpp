// Master and its clients. The directory of control sockets, made, checked and searched.
#include "master/control/control_path.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "common/error.hpp"
#include "common/fd.hpp"

namespace baton {
namespace {

constexpr std::string_view suffix = ".sock";

/// What the XDG Base Directory Specification says of a relative path: it is to be ignored.
std::optional<std::string> session_directory() {
  const char* const set = std::getenv("XDG_RUNTIME_DIR");
  if (set == nullptr || *set != '/') return std::nullopt;
  return std::string(set) + "/baton";
}

std::string system_directory() {
  const uid_t uid = ::geteuid();
  return uid == 0 ? "/run/baton" : fmt::format("/tmp/baton-{}", uid);
}

[[noreturn]] void fail(const std::string& directory, const std::string& why) {
  throw StartError(
      fmt::format("the control socket's directory {}: {} (--control names another place)", directory, why));
}

/// Empty where it is a directory that is ours and that nobody else may look into.
std::string objection(const std::string& directory) {
  struct stat found {};
  if (::lstat(directory.c_str(), &found) == -1) return describe_errno(errno);
  if (!S_ISDIR(found.st_mode)) return "it is not a directory";
  if (found.st_uid != ::geteuid()) return fmt::format("it belongs to the user with the number {}", found.st_uid);
  // Others may look in (systemd's RuntimeDirectory= is 0755): the sockets have modes of their own.
  if ((found.st_mode & 0022) != 0)
    return fmt::format("its mode is {:04o}, so that others can put sockets there: chmod 700 {}", found.st_mode & 07777,
                       directory);
  return "";
}

std::optional<pid_t> listening_pid(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  address.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  const Fd probe{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == -1) {
    const bool is_busy = errno == EAGAIN;  // its queue is full: it lives, and does not get to accepting
    return is_busy ? std::optional<pid_t>(0) : std::nullopt;
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  check(::getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size), "getsockopt(SO_PEERCRED)");
  return peer.pid;
}

}  // namespace

std::string control_directory() {
  return session_directory().value_or(system_directory());
}

std::vector<std::string> control_directories() {
  std::vector<std::string> all;
  if (auto session = session_directory()) all.push_back(std::move(*session));
  all.push_back(system_directory());
  return all;
}

std::string control_path(const std::string& directory, std::string_view name) {
  std::string file(name);
  std::replace(file.begin(), file.end(), '/', '_');
  return fmt::format("{}/{}{}", directory, file, suffix);
}

std::string default_control_path(std::string_view name) {
  const std::string directory = control_directory();
  // mkdir(2) takes bits away by the umask and never adds: what is there before us is judged, not changed. Workers that
  // run as another user pass through to their socket; the sockets have modes of their own.
  if (::mkdir(directory.c_str(), 0711) == -1 && errno != EEXIST)
    fail(directory, fmt::format("it can't be made: {}", describe_errno(errno)));
  if (const std::string why = objection(directory); !why.empty()) fail(directory, why);
  return control_path(directory, name);
}

std::string directory_closed_to(uid_t user, const std::string& path) {
  std::string closed;
  std::error_code error;
  std::filesystem::path each = std::filesystem::absolute(path, error);
  while (each != each.root_path()) {
    each = each.parent_path();
    struct stat found {};
    if (::stat(each.c_str(), &found) == -1) continue;
    if ((found.st_mode & (found.st_uid == user ? S_IXUSR : S_IXOTH)) == 0) closed = each.string();
  }
  return closed;
}

std::vector<RunningMaster> running_masters(const std::string& directory) {
  std::vector<RunningMaster> found;
  if (!objection(directory).empty()) return found;
  std::error_code error;
  for (std::filesystem::directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    const std::string path = each->path().string();
    if (each->path().extension() != suffix) continue;
    if (const auto pid = listening_pid(path)) found.push_back({path, each->path().stem().string(), *pid});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

}  // namespace baton
