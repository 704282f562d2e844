// Master. Binding, parking, and looking at what became of it.
#include "master/listeners/vault.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "common/error.hpp"
#include "common/socket_cookie.hpp"
#include "master/listeners/listener_health.hpp"

namespace baton {
namespace {

/// Where the kernel chose the port, the same one is asked for again.
ListenAddress as_bound(const NamedAddress& wanted, const std::string& address) {
  if (std::holds_alternative<UnixAddress>(wanted.address)) return wanted.address;
  TcpAddress bound = std::get<TcpAddress>(parse_address(address, 0));
  bound.defer_accept = std::get<TcpAddress>(wanted.address).defer_accept;
  bound.is_ipv6_only = std::get<TcpAddress>(wanted.address).is_ipv6_only;
  return bound;
}

}  // namespace

Vault::Vault(NamedAddress wanted, int backlog, ListenerAlarm& alarm, Sharing sharing)
    : wanted_(std::move(wanted)), alarm_(alarm) {
  Listener listener = wanted_.given ? take_given(wanted_) : listen_on(wanted_.address, backlog, sharing);
  if (wanted_.given) check(::listen(listener.socket.get(), backlog), "listen");
  address_ = std::move(listener.address);
  file_ = std::move(listener.file);
  is_listening_ = true;
  alarm_.watch(listener.socket);
  backlog_ = listener_health(listener.socket).backlog;
  park(std::move(listener.socket));
}

Vault::Vault(NamedAddress wanted, ListenerAlarm& alarm, Sharing sharing) : wanted_(std::move(wanted)), alarm_(alarm) {
  Listener bound = wanted_.given ? take_given(wanted_) : bind_to(wanted_.address, sharing);
  address_ = std::move(bound.address);
  file_ = std::move(bound.file);
  park(std::move(bound.socket));
}

void Vault::park(Fd socket) {
  const std::uint64_t cookie = socket_cookie(socket);
  parked_ = ParkedSocket(std::move(socket));
  cookie_ = cookie;
  inherited_nonblocking_.reset();
}

Fd Vault::copy_to_inherit(bool nonblocking) {
  Fd listener = copy();
  if (std::exchange(inherited_nonblocking_, nonblocking) != nonblocking)
    (nonblocking ? set_nonblocking : set_blocking)(listener);
  return listener;
}

void Vault::empty() {
  if (const auto run = std::exchange(on_empty_, {})) run();
  parked_.empty();
  file_.reset();
  is_listening_ = false;
  cookie_ = 0;
}

bool Vault::listens() const {
  return !is_empty() && listener_health(copy()).listens;
}

void Vault::reserve(Sharing sharing) {
  Listener bound = wanted_.given ? take_given(wanted_) : bind_to(as_bound(wanted_, address_), sharing);
  file_ = std::move(bound.file);
  is_listening_ = false;
  park(std::move(bound.socket));
}

bool Vault::listen(int backlog) {
  const Fd listener = copy();
  check(::listen(listener.get(), backlog), "listen");
  const ListenerHealth health = listener_health(listener);
  // Watched from its first listening on: before, a TCP socket looks as if it were shut down.
  if (!std::exchange(is_listening_, health.listens) && health.listens) alarm_.watch(listener);
  backlog_ = health.backlog;
  return health.listens;
}

Vault::Finding Vault::inspect() const {
  if (is_empty() || !is_listening_) return {};
  const ListenerHealth health = listener_health(copy());
  if (!health.listens) return {Damage::shut_down, 0, 0};
  const bool listened_again = health.listened_by != 0 && health.listened_by != ::getpid();
  const bool is_changed = health.backlog != backlog_ || (!health.backlog && listened_again);
  if (!is_changed) return {};
  return {Damage::backlog_changed, health.backlog.value_or(0), listened_again ? health.listened_by : 0};
}

}  // namespace baton
