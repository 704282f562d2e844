// Process tests. A foreign worker that does one wrong thing on its channel when it gets SIGUSR1, as worker 1; as any
// other it becomes the embedded worker. Speaks by hand, so that nothing corrects what it sends.
//
//   odd_worker DEED BATON_BINARY
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view ack = R"({"cmd":"NODE_HANDLE_ACK"})";
constexpr std::string_view nack = R"({"cmd":"NODE_HANDLE_NACK"})";
constexpr std::string_view handle = R"({"cmd":"NODE_HANDLE","type":"net.Server","msg":"take this"})";
constexpr int times = 500;

int channel = -1;
std::string received;

void send_bytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(channel, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void say(std::string_view line) {
  send_bytes(std::string(line) + "\n");
}

/// A line with `count` descriptors.
void say_with(std::string_view line, std::size_t count) {
  const std::string bytes = std::string(line) + "\n";
  std::string data = bytes;
  iovec vector{data.data(), data.size()};
  constexpr std::size_t most = 253;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(most * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(count * sizeof(int));
  const int standard_error = STDERR_FILENO;
  for (std::size_t i = 0; i < count; ++i) std::memcpy(CMSG_DATA(part) + i * sizeof(int), &standard_error, sizeof(int));
  static_cast<void>(::sendmsg(channel, &message, MSG_NOSIGNAL));
}

/// False at the end of file. Leaves descriptors that come along unopened.
bool read_line() {
  received.erase(0, received.find('\n') + (received.find('\n') == std::string::npos ? 0 : 1));
  std::array<char, 4096> bytes;
  while (received.find('\n') == std::string::npos) {
    const ssize_t count = ::read(channel, bytes.data(), bytes.size());
    if (count <= 0) return false;
    received.append(bytes.data(), static_cast<std::size_t>(count));
  }
  return true;
}

void send_handles() {
  for (int i = 0; i < times; ++i) {
    say_with(handle, 1);
    if (!read_line()) return;  // its acknowledgement
  }
}

const std::map<std::string_view, std::function<void()>> deeds{
    {"nothing", [] {}},
    {"garbage", [] { send_bytes("}{\n\n\x01\xff\xfe\nnull\n[1,\n"); }},
    {"answers nobody asked for",
     [] {
       for (int i = 0; i < times; ++i) say(i % 2 == 0 ? ack : nack);
     }},
    {"handles", send_handles},
    {"handles, unread answers",
     [] {
       for (int i = 0; i < times; ++i) say_with(handle, 1);
     }},
    {"handles without descriptors",
     [] {
       for (int i = 0; i < times; ++i) {
         say(handle);
         if (!read_line()) return;
       }
     }},
    {"stowaways",
     [] {
       for (int i = 0; i < times; ++i) say_with(R"({"plain":true})", 50);
     }},
    {"a flood of messages",
     [] {
       const std::string message = "\"" + std::string(1000, 'x') + "\"";
       for (int i = 0; i < 100'000; ++i) say(message);
       ::shutdown(channel, SHUT_RDWR);
     }},
    {"an endless line",
     [] {
       for (int i = 0; i < 6; ++i) send_bytes(std::string(1 << 20, 'x'));
     }},
    {"half a line",
     [] {
       send_bytes(R"({"cmd":"NODE_HAN)");
       ::shutdown(channel, SHUT_WR);
     }},
    {"an early end", [] { ::shutdown(channel, SHUT_RDWR); }},
};

}  // namespace

int main(int argc, char** argv) {
  const char* const number = std::getenv("BATON_WORKER");
  const char* const descriptor = std::getenv("NODE_CHANNEL_FD");
  if (argc != 3 || number == nullptr || descriptor == nullptr) return 2;
  if (std::string_view(number) != "1") {
    ::execl(argv[2], "baton", "worker", nullptr);
    return 1;
  }
  channel = std::atoi(descriptor);
  sigset_t begin;
  sigemptyset(&begin);
  sigaddset(&begin, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &begin, nullptr);

  const std::string_view deed(argv[1]);
  if (!read_line()) return 3;
  if (deed == "a refusal") {
    say(nack);
    while (read_line()) say(nack);  // it is sent again
  }
  say(ack);
  say(R"("begin")");
  ::sigwaitinfo(&begin, nullptr);
  if (const auto found = deeds.find(deed); found != deeds.end()) found->second();
  say(R"("done")");
  // Until TERM; at the channel's end it would be gone too early for the test to see that it does no harm.
  while (true) ::pause();
}
