// Any process. Framing by newline, and the care that descriptors in flight need.
#include "common/channel.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/json_text.hpp"
#include "common/protocol.hpp"

namespace baton {
namespace {

// Room for all descriptors that a message can have, so that a truncated control message can only mean that this process
// is at its RLIMIT_NOFILE.
using ControlBuffer = std::array<char, CMSG_SPACE(most_handles_per_message * sizeof(int))>;
constexpr std::size_t read_size = std::size_t{64} * 1024;
constexpr int reads_per_call = 16;

bool is_peer_gone(int error) {
  return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

std::vector<Fd> own_received(const msghdr& message) {
  std::vector<Fd> handles;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&message), part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      handles.emplace_back(descriptor);
    }
  }
  return handles;
}

/// The bytes sent, or -1 where there is no room now or the peer has gone. Throws std::system_error.
ssize_t send_message(const Fd& socket, std::span<iovec> vectors, std::span<const int> handles) {
  alignas(cmsghdr) ControlBuffer control;
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  if (!handles.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(handles.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(handles.size_bytes());
    std::memcpy(CMSG_DATA(part), handles.data(), handles.size_bytes());
  }
  ssize_t count = 0;
  do count = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (count == -1 && errno == EINTR);
  if (count != -1 || is_peer_gone(errno)) return count;
  // Of the last three the kernel has too little at the moment: of memory, or of room for descriptors in flight.
  const bool is_passing = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS;
  return is_passing ? count : check(count, "sendmsg");
}

std::string excerpt(std::string_view line) {
  constexpr std::size_t shown = 60;
  std::string text;
  for (const char c : line.substr(0, shown))
    text += (c >= ' ' && c <= '~') ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return line.size() > shown ? text + "…" : text;
}

// A flood of garbage must not become a flood of sentences about it.
void add_fault(Channel::Batch& batch, std::string text) {
  constexpr std::size_t told = 8;
  if (batch.faults.size() < told) batch.faults.push_back(std::move(text));
  if (batch.faults.size() == told) batch.faults.back() = "more faults in the same read are not listed";
}

}  // namespace

Channel::Channel(Fd socket, Limits limits) : socket_(std::move(socket)), limits_(limits) {
  set_cloexec(socket_);
  set_nonblocking(socket_);
}

Channel::Batch Channel::receive() {
  Batch batch;
  bool may_be_more = true;
  for (int i = 0; i < reads_per_call && may_be_more && !batch.closed; ++i) {
    may_be_more = read_once(batch);
    take_lines(batch);
  }
  return batch;
}

/// One recvmsg. Returns whether another may bring more.
bool Channel::read_once(Batch& batch) {
  std::array<char, read_size> bytes;
  alignas(cmsghdr) ControlBuffer control;
  iovec vector{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();

  ssize_t count = 0;
  do count = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (count == -1 && errno == EINTR);
  if (count == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (count == -1 && !is_peer_gone(errno)) check(count, "recvmsg");
  if (count <= 0) {
    if (!incoming_.empty()) add_fault(batch, fmt::format("the channel ended within a message: {}", excerpt(incoming_)));
    batch.closed = true;
    arrived_.clear();
    return false;
  }

  std::vector<Fd> handles = own_received(message);
  incoming_.append(bytes.data(), static_cast<std::size_t>(count));
  const bool is_truncated = (message.msg_flags & MSG_CTRUNC) != 0;
  if (is_truncated)
    add_fault(batch,
              "a descriptor was lost on receipt: this process is at its limit of open files (raise RLIMIT_NOFILE)");
  // The kernel ends a read behind the bytes that carried descriptors, so they belong to a line begun by now.
  const bool ends_early = !handles.empty() || is_truncated;
  if (!handles.empty()) arrived_.push_back({std::move(handles), line_start_ + incoming_.size(), is_truncated});
  return ends_early || static_cast<std::size_t>(count) == bytes.size();
}

void Channel::take_lines(Batch& batch) {
  const auto lines = std::count(incoming_.begin() + static_cast<std::ptrdiff_t>(searched_), incoming_.end(), '\n');
  batch.frames.reserve(batch.frames.size() + static_cast<std::size_t>(lines));
  std::size_t begin = 0;
  for (std::size_t end = incoming_.find('\n', searched_); end != std::string::npos; end = incoming_.find('\n', begin)) {
    take_line(std::string_view(incoming_).substr(begin, end - begin), batch);
    line_start_ += end + 1 - begin;
    begin = end + 1;
    drop_unclaimed(batch);
  }
  incoming_.erase(0, begin);
  searched_ = incoming_.size();
  if (incoming_.size() > limits_.line) {
    add_fault(batch, fmt::format("a message is longer than {} bytes: {}", limits_.line, excerpt(incoming_)));
    batch.closed = true;
    incoming_.clear();
    searched_ = 0;
    arrived_.clear();
  }
}

void Channel::take_line(std::string_view line, Batch& batch) {
  if (line.empty()) return;
  boost::system::error_code error;
  boost::json::value value = parse_json(line, error, limits_.depth);
  if (error) {
    add_fault(batch, fmt::format("a message is not JSON ({}): {}", error.message(), excerpt(line)));
    return;
  }
  std::optional<Fd> handle;
  std::vector<Fd> handles;
  switch (protocol::cargo(value)) {
    case protocol::Cargo::none:
      break;
    case protocol::Cargo::handle:
      handle = claim_handle(batch);
      break;
    case protocol::Cargo::connections:
      handles = claim_handles();
      break;
  }
  batch.frames.push_back({std::move(value), std::move(handle), std::move(handles)});
}

std::optional<Fd> Channel::claim_handle(Batch& batch) {
  if (arrived_.empty()) return std::nullopt;
  const bool is_truncated = arrived_.front().is_truncated;
  std::vector<Fd> handles = claim_handles();
  if (is_truncated) return std::nullopt;  // which of them is missing?
  if (handles.size() > 1)
    add_fault(batch, fmt::format("a message for one descriptor brought {}: the others are closed", handles.size()));
  return std::move(handles.front());
}

std::vector<Fd> Channel::claim_handles() {
  if (arrived_.empty()) return {};
  std::vector<Fd> handles = std::move(arrived_.front().handles);
  arrived_.pop_front();
  return handles;
}

/// Closes descriptors whose line turned out not to be one that carries a descriptor.
void Channel::drop_unclaimed(Batch& batch) {
  while (!arrived_.empty() && arrived_.front().before <= line_start_) {
    add_fault(batch, fmt::format("{} descriptor(s) came with no message for them and are closed",
                                 arrived_.front().handles.size()));
    arrived_.pop_front();
  }
}

Channel::Sent Channel::send(std::string_view line, std::optional<Fd> handle) {
  if (unsent_ + line.size() + 1 > limits_.unsent) return Sent::full;
  Outgoing message{std::string(line) + '\n', 0, std::move(handle)};
  unsent_ += message.bytes.size();
  outgoing_.push_back(std::move(message));
  return flush();
}

Channel::Sent Channel::add(std::string_view line) {
  if (unsent_ + line.size() + 1 > limits_.unsent) return Sent::full;
  // Of one that has begun to go out, or that takes a descriptor along, the rest is left as it is.
  const bool may_join = !outgoing_.empty() && outgoing_.back().sent == 0 && !outgoing_.back().handle;
  if (!may_join) outgoing_.emplace_back();
  outgoing_.back().bytes.append(line).push_back('\n');
  unsent_ += line.size() + 1;
  return Sent::queued;
}

Channel::Sent Channel::send_now(std::string_view line, std::span<const int> handles) {
  if (!outgoing_.empty()) return Sent::full;
  static const char newline = '\n';
  std::array<iovec, 2> vectors{iovec{const_cast<char*>(line.data()), line.size()}, {const_cast<char*>(&newline), 1}};
  const ssize_t count = send_message(socket_, vectors, handles);
  if (count == -1) return is_peer_gone(errno) ? Sent::closed : Sent::full;
  const auto sent = static_cast<std::size_t>(count);
  if (sent == line.size() + 1) return Sent::whole;
  outgoing_.push_back({std::string(line) + newline, sent, std::nullopt});
  unsent_ += line.size() + 1 - sent;
  return Sent::queued;
}

Channel::Sent Channel::flush() {
  while (!outgoing_.empty()) {
    Outgoing& next = outgoing_.front();
    std::array<iovec, 1> vectors{iovec{next.bytes.data() + next.sent, next.bytes.size() - next.sent}};
    const int descriptor = next.handle ? next.handle->get() : -1;
    const ssize_t count = send_message(socket_, vectors, {&descriptor, next.handle ? std::size_t{1} : 0});
    if (count == -1) {
      if (!is_peer_gone(errno)) return Sent::queued;
      outgoing_.clear();
      unsent_ = 0;
      return Sent::closed;
    }
    // The first byte has taken the descriptor along, however few bytes followed: it must not go out again.
    next.handle.reset();
    next.sent += static_cast<std::size_t>(count);
    unsent_ -= static_cast<std::size_t>(count);
    if (next.sent == next.bytes.size()) outgoing_.pop_front();
  }
  return Sent::whole;
}

std::pair<Fd, Fd> make_channel_pair() {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  return {Fd{ends[0]}, Fd{ends[1]}};
}

}  // namespace baton
