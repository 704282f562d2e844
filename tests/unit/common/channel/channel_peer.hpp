// Unit tests. The far end of a channel, driven by bare system calls, so that it can do what no Channel would.
#pragma once

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/channel.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {

/// Some open file that can be told from others.
inline Fd make_handle() {
  return Fd{check(::memfd_create("handle", MFD_CLOEXEC), "memfd_create")};
}

inline bool is_same_file(const Fd& a, const Fd& b) {
  struct stat first {};
  struct stat second {};
  check(::fstat(a.get(), &first), "fstat");
  check(::fstat(b.get(), &second), "fstat");
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

class Peer {
 public:
  explicit Peer(Fd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] const Fd& socket() const { return socket_; }
  void close() { socket_.reset(); }
  void shrink_buffer(int bytes) const {
    check(::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), "setsockopt");
  }

  /// One sendmsg(2) of all `bytes`, with `handle` attached `copies` times.
  void send(std::string_view bytes, const Fd* handle = nullptr, std::size_t copies = 1) const {
    const std::vector<int> descriptors(handle != nullptr ? copies : 0, handle != nullptr ? handle->get() : -1);
    const std::size_t size = descriptors.size() * sizeof(int);
    std::vector<char> control(CMSG_SPACE(size));
    std::string copy(bytes);
    iovec vector{copy.data(), copy.size()};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(size);
      std::memcpy(CMSG_DATA(part), descriptors.data(), size);
    }
    const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    REQUIRE(sent == static_cast<ssize_t>(bytes.size()));
  }

  /// Bytes that are there now, at most `most`; descriptors among them are lost.
  [[nodiscard]] std::string read(std::size_t most = std::size_t{1} << 20) const {
    std::string bytes(most, '\0');
    const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
  }

 private:
  Fd socket_;
};

/// A channel and its far end.
struct Ends {
  explicit Ends(std::pair<Fd, Fd> pair = make_channel_pair(), Channel::Limits limits = {})
      : channel(std::move(pair.first), limits), peer(std::move(pair.second)) {}
  explicit Ends(Channel::Limits limits) : Ends(make_channel_pair(), limits) {}

  Channel channel;
  Peer peer;
};

inline std::string text_of(const Frame& frame) {
  const boost::json::string& text = frame.value.as_string();
  return {text.data(), text.size()};
}

}  // namespace baton::test
