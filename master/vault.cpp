// Master. Parking by SCM_RIGHTS, and copies by MSG_PEEK.
#include "master/vault.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "common/channel.hpp"
#include "common/error.hpp"
#include "common/socket_cookie.hpp"
#include "master/listener_health.hpp"

namespace baton {
namespace {

/// The one message that waits in the queue: a byte with one descriptor.
struct Parcel {
  char byte = 0;
  iovec vector{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};

  Parcel() {
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
  ~Parcel() = default;
};

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
  // The sending end is closed on return: what it sent stays in the other's queue.
  auto [sender, keeper] = make_channel_pair();
  Parcel parcel;
  cmsghdr* part = CMSG_FIRSTHDR(&parcel.message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = socket.get();
  std::memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
  check(::sendmsg(sender.get(), &parcel.message, MSG_NOSIGNAL), "sendmsg(listener)");
  parked_ = std::move(keeper);
  cookie_ = cookie;
  inherited_nonblocking_.reset();
}

Fd Vault::copy() const {
  if (is_empty()) throw std::system_error(EBADF, std::generic_category(), "the vault is empty");
  Parcel parcel;
  check(::recvmsg(parked_.get(), &parcel.message, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT), "recvmsg(listener)");
  const cmsghdr* part = CMSG_FIRSTHDR(&parcel.message);
  if (part == nullptr) throw std::system_error(EMFILE, std::generic_category(), "recvmsg(listener)");
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
  return Fd{descriptor};
}

Fd Vault::copy_to_inherit(bool nonblocking) {
  Fd listener = copy();
  if (std::exchange(inherited_nonblocking_, nonblocking) != nonblocking)
    (nonblocking ? set_nonblocking : set_blocking)(listener);
  return listener;
}

void Vault::empty() {
  if (const auto run = std::exchange(on_empty_, {})) run();
  parked_.reset();
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
