// Master. Binds and listens. A Listener owns the listening descriptor until it is handed over, and a Unix socket's
// file until the end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/error.hpp"
#include "common/fd.hpp"
#include "master/listeners/address.hpp"
#include "master/listeners/socket_file.hpp"

namespace baton {

/// Why an address can't be had, also as an errno, for programs that ask for it.
struct ListenError : StartError {
  ListenError(int error, const std::string& text) : StartError(text), code(error) {}
  int code;
};

struct Listener {
  Fd socket;
  std::string address;  ///< as bound: with the port that the kernel chose for 0
  std::optional<SocketFile> file;
  Fd directory_lock;  ///< of a Unix socket: held until it listens, so that nobody takes its file for a stale one
};

/// Whether other listeners may be on the same TCP port (SO_REUSEPORT).
enum class Sharing : std::uint8_t {
  none,
  first,  ///< yes, but nobody else's: who comes first makes sure that there is none yet
  next,   ///< yes, and there are some of ours
};

/// A bound socket that does not listen yet. Throws ListenError, which names the address, the cause and the way out.
Listener bind_to(const ListenAddress& address, Sharing sharing = Sharing::none);

/// The socket that this process was given for that address: a descriptor of its own, and no file, which is the giver's.
/// It listens already. Throws std::system_error.
Listener take_given(const NamedAddress& wanted);

/// `backlog` in connections; the kernel lowers it to net.core.somaxconn. Throws ListenError.
Listener listen_on(const ListenAddress& address, int backlog, Sharing sharing = Sharing::none);

}  // namespace baton
