// Any process. Framing by newline, and the care that descriptors in flight need.
#include "common/channel.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/json/parse.hpp>
#include <cstring>

#include "common/protocol.hpp"

namespace baton {
namespace {

// The kernel puts at most this many descriptors into one message (SCM_MAX_FD). Room for all of them, so that a
// truncated control message can only mean that this process is at its RLIMIT_NOFILE.
constexpr std::size_t max_handles_per_message = 253;
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
  for (int i = 0; i < reads_per_call && !batch.closed && read_once(batch); ++i) take_lines(batch);
  return batch;
}

/// One recvmsg. Returns whether it brought bytes; would-block and the end return false.
bool Channel::read_once(Batch& batch) {
  std::array<char, read_size> bytes;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(max_handles_per_message * sizeof(int))> control;
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
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    add_fault(batch,
              "a descriptor was lost on receipt: this process is at its limit of open files (raise RLIMIT_NOFILE)");
    handles.clear();
  }
  // The kernel ends a read behind the bytes that carried descriptors, so they belong to a line begun by now.
  if (!handles.empty()) arrived_.push_back({std::move(handles), line_start_ + incoming_.size()});
  return true;
}

void Channel::take_lines(Batch& batch) {
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
    arrived_.clear();
  }
}

void Channel::take_line(std::string_view line, Batch& batch) {
  if (line.empty()) return;
  boost::system::error_code error;
  // Node's own parser knows no limit; this one is for the stack's sake.
  boost::json::parse_options options;
  options.max_depth = 512;
  boost::json::value value = boost::json::parse({line.data(), line.size()}, error, {}, options);
  if (error) {
    add_fault(batch, fmt::format("a message is not JSON ({}): {}", error.message(), excerpt(line)));
    return;
  }
  std::optional<Fd> handle;
  if (protocol::carries_handle(value)) handle = claim_handle(batch);
  batch.frames.push_back({std::move(value), std::move(handle)});
}

std::optional<Fd> Channel::claim_handle(Batch& batch) {
  if (arrived_.empty()) return std::nullopt;
  std::vector<Fd> handles = std::move(arrived_.front().handles);
  arrived_.pop_front();
  if (handles.size() > 1)
    add_fault(batch, fmt::format("a message for one descriptor brought {}: the others are closed", handles.size()));
  return std::move(handles.front());
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

Channel::Sent Channel::flush() {
  while (!outgoing_.empty()) {
    Outgoing& next = outgoing_.front();
    iovec vector{next.bytes.data() + next.sent, next.bytes.size() - next.sent};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (next.handle) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* part = CMSG_FIRSTHDR(&message);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(sizeof(int));
      const int descriptor = next.handle->get();
      std::memcpy(CMSG_DATA(part), &descriptor, sizeof(int));
    }
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count == -1) {
      if (errno == EINTR) continue;
      // Of the last three the kernel has too little at the moment: of memory, or of room for descriptors in flight.
      const bool is_passing = errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS;
      if (is_passing) return Sent::queued;
      if (!is_peer_gone(errno)) check(count, "sendmsg");
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
