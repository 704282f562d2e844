// Process tests. A foreign worker that is handed connections and breaks a rule of it, as worker 1; as any other it
// becomes the embedded worker. Speaks by hand, so that nothing corrects what it sends.
//
//   handed_worker FAULT many|one BATON_BINARY
//
// `many` answers the greeting, and so is handed many at once; `one` does not, and is taken for Node.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int channel_room = 253;

int channel = -1;
std::string fault;
bool takes_many = false;

void say(const std::string& line) {
  const std::string text = line + "\n";
  static_cast<void>(::send(channel, text.data(), text.size(), MSG_NOSIGNAL));
}

void say_taken(const std::string& count) {
  say(R"({"cmd":"NODE_BATON_TAKEN","count":)" + count + "}");
}

void acknowledge(std::size_t count) {
  if (takes_many) return say_taken(std::to_string(count));
  say(count > 0 ? R"({"cmd":"NODE_HANDLE_ACK"})" : R"({"cmd":"NODE_HANDLE_NACK"})");
}

/// Whatever the client asks; then until its end of file.
void serve(int client) {
  const std::string body = "pid is " + std::to_string(::getpid()) + "\n";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  timeval limit{2, 0};
  ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::fcntl(client, F_SETFL, 0);
  std::array<char, 4096> bytes;
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t count = ::recv(client, bytes.data(), bytes.size(), 0);
    if (count <= 0) break;
    request.append(bytes.data(), static_cast<std::size_t>(count));
  }
  static_cast<void>(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL));
  ::shutdown(client, SHUT_WR);
  while (::recv(client, bytes.data(), bytes.size(), 0) > 0) {
  }
  ::shutdown(client, SHUT_RDWR);
}

struct Read {
  bool is_end = false;
  std::vector<int> descriptors;
};

Read read_channel() {
  std::array<char, 65536> bytes;
  iovec vector{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(channel_room * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  Read read;
  if (::recvmsg(channel, &message, MSG_CMSG_CLOEXEC) <= 0) return {true, {}};
  const cmsghdr* part = CMSG_FIRSTHDR(&message);
  if (part == nullptr) return read;
  read.descriptors.resize((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  std::memcpy(read.descriptors.data(), CMSG_DATA(part), read.descriptors.size() * sizeof(int));
  return read;
}

void answer_and_serve(const std::vector<int>& descriptors) {
  const std::size_t count = descriptors.size();
  std::size_t served = count;
  if (fault == "takes none") {
    served = 0;
    acknowledge(0);
  } else if (fault == "takes half") {
    served = count / 2;
    acknowledge(served);
  } else if (fault == "counts too many") {
    say_taken(std::to_string(count + 5));
  } else if (fault == "counts what is no number") {
    say_taken("-1");
    say_taken("\"1\"");
    say_taken("99999999999999999999");
    say_taken(std::to_string(count));
  } else {
    acknowledge(count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (i < served) serve(descriptors[i]);
    ::close(descriptors[i]);
  }
  if (fault == "closes too many") say(R"({"cmd":"NODE_BATON_CLOSED","count":1000000})");
}

/// Answers that nobody asked for; not more than a pipe holds of the master's warnings, which a test reads later.
void chatter() {
  for (int i = 0; i < 40; ++i) {
    say_taken("1");
    say(R"({"cmd":"NODE_HANDLE_ACK"})");
    say(R"({"cmd":"NODE_HANDLE_NACK"})");
    say(R"({"cmd":"NODE_BATON_CLOSED","count":3})");
    say(R"({"cmd":"NODE_SOCKET_COUNT","key":"baton","count":3})");
    say(R"({"cmd":"NODE_BATON_CONNECTIONS","count":1,"msg":"server"})");
  }
  say(R"("done")");
}

}  // namespace

int main(int argc, char** argv) {
  const char* const number = std::getenv("BATON_WORKER");
  const char* const descriptor = std::getenv("NODE_CHANNEL_FD");
  if (argc != 4 || number == nullptr || descriptor == nullptr) return 2;
  if (std::string_view(number) != "1") {
    ::execl(argv[3], "baton", "worker", nullptr);
    return 1;
  }
  channel = std::atoi(descriptor);
  fault = argv[1];
  takes_many = std::string_view(argv[2]) == "many";
  if (read_channel().is_end) return 0;  // the greeting; what follows of the probe has nothing attached
  if (takes_many) say_taken("0");
  say(R"({"cmd":"NODE_HANDLE_NACK"})");
  if (fault == "never acknowledges")
    while (true) ::pause();
  if (fault == "chatters") chatter();
  if (fault == "ends its channel") {
    ::shutdown(channel, SHUT_RDWR);
    while (true) ::pause();
  }
  std::vector<int> kept;
  while (true) {
    const Read read = read_channel();
    if (read.is_end) return 0;
    if (read.descriptors.empty()) continue;
    if (fault == "holds") {
      kept.insert(kept.end(), read.descriptors.begin(), read.descriptors.end());
      continue;
    }
    answer_and_serve(read.descriptors);
  }
}
