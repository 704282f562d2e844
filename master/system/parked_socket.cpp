// Master. Parking by SCM_RIGHTS, and copies by MSG_PEEK.
#include "master/system/parked_socket.hpp"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>

#include "common/channel.hpp"
#include "common/error.hpp"

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

}  // namespace

ParkedSocket::ParkedSocket(Fd socket) {
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
  keeper_ = std::move(keeper);
}

Fd ParkedSocket::copy() const {
  if (is_empty()) throw std::system_error(EBADF, std::generic_category(), "the vault is empty");
  Parcel parcel;
  check(::recvmsg(keeper_.get(), &parcel.message, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT), "recvmsg(listener)");
  const cmsghdr* part = CMSG_FIRSTHDR(&parcel.message);
  if (part == nullptr) throw std::system_error(EMFILE, std::generic_category(), "recvmsg(listener)");
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
  return Fd{descriptor};
}

}  // namespace baton
