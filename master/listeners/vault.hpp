// Master. One listener, kept without being held: it is parked, and goes on listening though no descriptor of this
// process refers to it. Owns the parked socket, and a Unix listener's file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "common/fd.hpp"
#include "master/listeners/address.hpp"
#include "master/listeners/listener.hpp"
#include "master/listeners/listener_alarm.hpp"
#include "master/system/parked_socket.hpp"

namespace baton {

class Vault {
 public:
  /// Binds, listens and parks. `alarm`, which outlives it, rings when somebody shuts the listener down.
  /// Throws StartError.
  Vault(NamedAddress wanted, int backlog, ListenerAlarm& alarm, Sharing sharing = Sharing::none);
  /// Binds and parks, and leaves it to others to listen: as after reserve(). Throws StartError.
  Vault(NamedAddress wanted, ListenerAlarm& alarm, Sharing sharing);

  [[nodiscard]] const std::string& name() const { return wanted_.name; }
  /// As bound: with the port that the kernel chose for 0.
  [[nodiscard]] const std::string& address() const { return address_; }
  /// As asked for.
  [[nodiscard]] const NamedAddress& wanted() const { return wanted_; }
  [[nodiscard]] bool is_empty() const { return parked_.is_empty(); }
  /// As far as this process had a hand in it: false between reserve() and listen().
  [[nodiscard]] bool is_listening() const { return is_listening_; }
  /// As it is.
  [[nodiscard]] bool listens() const;
  /// Of the parked socket: the same number in every process, and no other socket's (SO_COOKIE). 0: the vault is empty.
  [[nodiscard]] std::uint64_t cookie() const { return cookie_; }

  /// A descriptor for the parked socket, the caller's, CLOEXEC. Throws std::system_error: EMFILE, or EBADF where the
  /// vault is empty.
  [[nodiscard]] Fd copy() const { return parked_.copy(); }
  /// The same for a program that has it from its start. The first such copy of a socket makes it wait for connections,
  /// as systemd's do, or not: later ones leave it as its holders have set it, for the flag is theirs together, unless
  /// another is wanted now. Throws likewise.
  [[nodiscard]] Fd copy_to_inherit(bool nonblocking);

  /// Gives the socket up. Once no worker holds it either, clients are refused.
  void empty();
  /// What empty() does first, the next time: whoever keeps a copy in this process lets go of it.
  void on_empty(std::function<void()> run) { on_empty_ = std::move(run); }
  /// Binds the same address again, without listening: clients are still refused, but a worker can be handed the socket.
  /// Throws StartError.
  void reserve(Sharing sharing = Sharing::none);
  /// (Re)asserts that it listens, with this backlog. False where that is beyond repair: a Unix socket that was shut
  /// down. Throws std::system_error.
  bool listen(int backlog);

  /// What some holder of the listener has done to it.
  enum class Damage : std::uint8_t { none, shut_down, backlog_changed };
  struct Finding {
    Damage damage = Damage::none;
    int backlog = 0;    ///< as it is now
    pid_t culprit = 0;  ///< who did it, where the kernel tells
  };
  /// Throws std::system_error.
  [[nodiscard]] Finding inspect() const;

 private:
  void park(Fd socket);

  NamedAddress wanted_;
  ListenerAlarm& alarm_;
  std::string address_;
  std::optional<SocketFile> file_;
  std::function<void()> on_empty_;
  ParkedSocket parked_;
  bool is_listening_ = false;                  ///< false between reserve() and listen()
  std::optional<bool> inherited_nonblocking_;  ///< the parked socket, if it was
  std::uint64_t cookie_ = 0;
  std::optional<int> backlog_;  ///< as the kernel took it
};

}  // namespace baton
