// Master. Listening sockets that baton itself was given at its start, as by a socket unit of systemd: LISTEN_FDS as in
// sd_listen_fds(3). They are listened on in the place of sockets of our own, and kept over reloads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/fd.hpp"
#include "master/listeners/address.hpp"

namespace baton {

class GivenSockets {
 public:
  /// Takes them, and their variables out of the environment; everything is CLOEXEC from then on. Throws StartError
  /// where one is missing, or is no listening stream socket.
  static GivenSockets take();

  [[nodiscard]] bool empty() const { return sockets_.empty(); }
  /// All of them, as addresses to listen on.
  [[nodiscard]] std::vector<NamedAddress> all() const { return sockets_; }
  /// The one with this name or address becomes its socket. False: there is none.
  bool assign(NamedAddress& wanted) const;
  /// Those that none of these addresses has become.
  [[nodiscard]] std::vector<NamedAddress> left_by(const std::vector<NamedAddress>& wanted) const;

 private:
  std::vector<NamedAddress> sockets_;
};

}  // namespace baton
