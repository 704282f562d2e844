// Master and its clients. Where control sockets are: the directory that both sides agree on without a word, the file in
// it, and which of those files a running master is behind. Owns nothing; the master's side makes the directory.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace baton {

/// $XDG_RUNTIME_DIR/baton, else for root /run/baton, else /tmp/baton-UID. No system call touches it.
std::string control_directory();

/// Where a client looks: the one above, and the one of a master that ran without XDG_RUNTIME_DIR, as a service does.
std::vector<std::string> control_directories();

/// "127.0.0.1:1337" → "DIRECTORY/127.0.0.1:1337.sock"; "/" in the name becomes "_".
std::string control_path(const std::string& directory, std::string_view name);

/// For a master: makes the directory with mode 0711 where it is missing, and makes sure that only we put sockets there.
/// Throws StartError, which names the directory, the cause and the way out.
std::string default_control_path(std::string_view name);

/// The outermost directory on the way to `path` through which `user` may not pass, by the modes for its owner and for
/// others (groups and access lists aside); empty where the way is open.
std::string directory_closed_to(uid_t user, const std::string& path);

struct RunningMaster {
  std::string path;
  std::string name;  ///< as in the file's name
  pid_t pid = 0;     ///< 0: too busy to tell
};

/// The masters that answer a connection in `directory`, in the order of their names; none where the directory is
/// missing or not ours.
std::vector<RunningMaster> running_masters(const std::string& directory);

}  // namespace baton
