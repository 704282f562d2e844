// Process tests. The fake master's side of the channel.
#include "tests/support/programs/fake_master.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <exception>
#include <utility>

#include "master/listeners/listener.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/programs.hpp"

namespace baton::test {
namespace {

std::pair<Fd, Fd> make_ends() {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  const timeval limit{std::chrono::seconds(patience).count(), 0};
  check(::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt");
  check(::setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "setsockopt");
  return {Fd{ends[0]}, Fd{ends[1]}};
}

std::vector<std::string> embedded(const std::vector<std::string>& arguments) {
  std::vector<std::string> command{programs::baton(), "worker"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

Launch launch_with_channel(const std::vector<std::string>& command, const Fd& channel) {
  return {command, {fmt::format("NODE_CHANNEL_FD={}", channel.get())}, {channel.get()}, {}};
}

}  // namespace

FakeMaster::FakeMaster(const std::vector<std::string>& arguments) : FakeMaster(embedded(arguments), make_ends()) {}
FakeMaster::FakeMaster(const Command& command) : FakeMaster(command.words, make_ends()) {}

// The worker's end is closed here when the pair goes: its end of file is then the worker's.
FakeMaster::FakeMaster(const std::vector<std::string>& command, std::pair<Fd, Fd> ends)
    : channel_(std::move(ends.first)), worker_(launch_with_channel(command, ends.second)) {}

FakeMaster::~FakeMaster() {
  if (std::uncaught_exceptions() > 0) return;
  end_channel();
  const auto end = worker_.try_wait_for_end(Deadline());
  CHECK(end.value_or("the worker did not end in time") == "code 0");
  CHECK(worker_.errors().find("Sanitizer") == std::string::npos);
}

void FakeMaster::send_piece(std::string_view bytes, const std::vector<int>& descriptors) {
  constexpr std::size_t most = 253;
  REQUIRE(descriptors.size() <= most);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(most * sizeof(int))> control{};
  msghdr message{};
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size() * sizeof(int));
  }
  std::string text(bytes);
  for (std::size_t sent = 0; sent < text.size();) {
    iovec vector{text.data() + sent, text.size() - sent};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    const ssize_t count = ::sendmsg(channel_.get(), &message, MSG_NOSIGNAL);
    REQUIRE(count > 0);
    sent += static_cast<std::size_t>(count);
    message.msg_control = nullptr;  // delivered with the first bytes; again it would be a second copy
    message.msg_controllen = 0;
  }
}

std::string FakeMaster::read_line() {
  std::size_t end = 0;
  while ((end = received_.find('\n')) == std::string::npos) {
    std::array<char, 4096> bytes;
    const ssize_t count = ::recv(channel_.get(), bytes.data(), bytes.size(), 0);
    if (count <= 0) FAIL("the worker said nothing: " << (count == 0 ? "end of file" : std::strerror(errno)));
    received_.append(bytes.data(), static_cast<std::size_t>(count));
  }
  std::string line = received_.substr(0, end);
  received_.erase(0, end + 1);
  return line;
}

bool FakeMaster::has_answer() const {
  pollfd wait{channel_.get(), POLLIN, 0};
  return !received_.empty() || ::poll(&wait, 1, 0) == 1;
}

void FakeMaster::wait_until_heard() {
  const std::string mark = fmt::format("\"mark {}\"", ++marks_);
  send(mark);
  worker_.wait_for("from the master: " + mark);
}

LoopbackListener::LoopbackListener() {
  Listener made = listen_on(TcpAddress{boost::asio::ip::make_address("127.0.0.1"), 0}, 128);
  socket = std::move(made.socket);
  address = std::move(made.address);
}

}  // namespace baton::test
