// Master. Where a worker written for Einhorn says that it is ready: it connects to the Unix socket that
// EINHORN_SOCK_PATH names, and writes one line. Owns one such socket for one worker, so that nobody has to be told from
// the others by pid, with its file, and the connections made to it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "common/fd.hpp"

namespace baton {

class AckSocket {
 public:
  /// In a directory of its own among the temporary files. Whoever is neither `user`, nor this process's, nor root is
  /// not heard. Throws std::system_error.
  explicit AckSocket(uid_t user);
  AckSocket(AckSocket&& other) noexcept;
  AckSocket& operator=(AckSocket&&) = delete;
  AckSocket(const AckSocket&) = delete;
  AckSocket& operator=(const AckSocket&) = delete;
  ~AckSocket();

  /// For EINHORN_SOCK_PATH.
  [[nodiscard]] std::string path() const { return directory_ + "/einhorn.sock"; }
  /// Readable when there is something to receive().
  [[nodiscard]] const Fd& events() const { return epoll_; }

  struct Received {
    bool acknowledgement = false;
    bool is_exhausted = false;  ///< there was no descriptor for a connection, which waits
  };
  /// Reads what is there, with a bound. Too many connections, and lines that are too long, are closed.
  Received receive();

 private:
  void make_directory();
  void bind_and_listen();
  bool accept_some();
  [[nodiscard]] bool is_trusted(const Fd& client) const;
  bool read_from(int client);

  uid_t user_;
  std::string directory_;
  Fd epoll_;
  Fd listener_;
  struct Client {
    Fd socket;
    std::string line;
  };
  std::map<int, Client> clients_;
};

/// Whether one line says so: {"command":"worker:ack","pid":77}, or the same as YAML, whose line ends are written %0A.
bool is_acknowledgement(std::string_view line);

}  // namespace baton
