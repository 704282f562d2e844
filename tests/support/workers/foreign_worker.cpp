// Process tests. A foreign worker that serves, one client at a time, and may have one fault. It knows Node's channel
// and nothing else of baton.
//
//   foreign_worker FAULT [ARGUMENT...]
//
// Some faults are of one worker only: NUMBER. Some happen once: FILE is created by whoever commits the deed, and keeps
// the others from it. Some wait for USR1.
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

int channel = -1;
std::vector<int> listeners;
std::vector<std::string> arguments;
std::function<void()> tick;  ///< called every `tick_ms` or more often, if set
int tick_ms = -1;
std::function<void()> on_user_signal;  ///< USR1
bool stops_on_term = true;
bool heeds_channel = true;

void send_line(std::string_view line) {
  const std::string text = std::string(line) + "\n";
  static_cast<void>(::send(channel, text.data(), text.size(), MSG_NOSIGNAL));
}

void notify(std::string_view text) {
  const char* const name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t size = std::strlen(name);
  std::memcpy(address.sun_path, name, size);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ::sendto(socket, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size));
  ::close(socket);
}

[[noreturn]] void loop_for_ever() {
  for (volatile unsigned turns = 0;;) turns = turns + 1;
}

bool is_number(std::size_t argument) {
  const char* const number = std::getenv("BATON_WORKER");
  return arguments.size() > argument && number != nullptr && arguments[argument] == number;
}

/// True for whoever creates the file, or always where none is named.
bool is_first(std::size_t argument) {
  return arguments.size() <= argument ||
         ::open(arguments[argument].c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) != -1;
}

/// Two generations, each in a session of its own, that go on to serve and don't heed the channel's end. Worker
/// NUMBER's.
void leave_grandchildren() {
  if (!is_number(0)) return;
  for (const char* each : {"child", "grandchild"}) {
    if (::fork() != 0) return;
    ::setsid();
    std::fprintf(stderr, "%s %d\n", each, ::getpid());
    heeds_channel = false;
    stops_on_term = false;
  }
}

void serve_client(int client) {
  const timeval limit{2, 0};
  ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::string request;
  std::array<char, 4096> bytes;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t count = ::recv(client, bytes.data(), bytes.size(), 0);
    if (count <= 0) break;
    request.append(bytes.data(), static_cast<std::size_t>(count));
  }
  const std::string body = "pid is " + std::to_string(::getpid()) + "\n";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  static_cast<void>(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL));
  ::shutdown(client, SHUT_WR);
  while (::recv(client, bytes.data(), bytes.size(), 0) > 0) {
  }
  ::close(client);
}

/// False at the end of the channel.
bool read_channel() {
  std::array<char, 4096> bytes;
  iovec vector{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(channel, &message, MSG_CMSG_CLOEXEC) <= 0) return false;
  // The kernel ends each read behind a descriptor, so that no second one comes along; other messages are none of ours.
  if (const cmsghdr* part = CMSG_FIRSTHDR(&message)) {
    int listener = -1;
    std::memcpy(&listener, CMSG_DATA(part), sizeof listener);
    int listens = 0;
    socklen_t size = sizeof listens;
    ::getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
    if (listens == 0) ::listen(listener, 511);  // as Node does
    ::fcntl(listener, F_SETFL, O_NONBLOCK);
    listeners.push_back(listener);
    send_line(R"({"cmd":"NODE_HANDLE_ACK"})");
  }
  return true;
}

/// Until TERM or the end of the channel.
int serve(int signals) {
  while (true) {
    std::vector<pollfd> waits{{signals, POLLIN, 0}, {heeds_channel ? channel : -1, POLLIN, 0}};
    for (const int each : listeners) waits.push_back({each, POLLIN, 0});
    static_cast<void>(::poll(waits.data(), waits.size(), tick_ms));
    if (tick) tick();
    if (waits[0].revents != 0) {
      signalfd_siginfo received{};
      if (::read(signals, &received, sizeof received) < 0) continue;
      if (received.ssi_signo == SIGUSR1 && on_user_signal) on_user_signal();
      if (received.ssi_signo == SIGTERM && stops_on_term) return 0;
    }
    if (waits[1].revents != 0 && !read_channel()) return 0;
    for (std::size_t i = 2; i < waits.size(); ++i) {
      const int client = waits[i].revents == 0 ? -1 : ::accept4(waits[i].fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (client != -1) serve_client(client);
    }
  }
}

/// What is done once the first listener is there.
const std::map<std::string_view, std::function<void()>> faults{
    {"none", [] {}},
    {"loop", loop_for_ever},
    {"ignore term", [] { stops_on_term = false; }},
    {"exit 3", [] { std::exit(3); }},
    {"crash",
     [] {
       std::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would end it with a code
       std::raise(SIGSEGV);
     }},
    {"shutdown", [] { on_user_signal = [] { ::shutdown(listeners.front(), SHUT_RDWR); }; }},
    {"listen", [] { on_user_signal = [] { ::listen(listeners.front(), 1); }; }},
    // NUMBER: at once, and so do all its successors
    {"always shutdown",
     [] {
       if (is_number(0)) ::shutdown(listeners.front(), SHUT_RDWR);
     }},
    {"grandchildren", leave_grandchildren},
    {"say ready", [] { send_line(R"("ready")"); }},
    {"notify stopping",
     [] {
       notify("RELOADING=1");
       on_user_signal = [] { notify("STOPPING=1"); };
     }},
    {"notify ready", [] { notify("READY=1\nSTATUS=all is well"); }},
    // COUNT signs of life, 50 ms apart, and no more, though it goes on to serve. With FILE: the others give them
    // always.
    {"watchdog",
     [] {
       tick_ms = 50;
       tick = [left = is_first(1) ? std::stoi(arguments.at(0)) : -1]() mutable {
         if (left != 0) notify("WATCHDOG=1");
         if (left > 0) --left;
       };
     }},
    {"watchdog trigger",
     [] {
       if (is_first(0)) notify("WATCHDOG=trigger");
     }},
};

}  // namespace

int main(int argc, char** argv) {
  const char* const descriptor = std::getenv("NODE_CHANNEL_FD");
  if (argc < 2 || descriptor == nullptr) return 2;
  channel = std::atoi(descriptor);
  const std::string_view fault(argv[1]);
  arguments.assign(argv + 2, argv + argc);
  // Before anything is read.
  if (fault == "exit 0") return 0;
  if (fault == "needs" && ::access(arguments.at(0).c_str(), F_OK) != 0) return 1;
  if (fault == "never ready")
    while (true) ::pause();

  if (fault == "refuse at the end") {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, nullptr);
    std::fputs("waits for TERM\n", stderr);
    ::sigwaitinfo(&term, nullptr);
    send_line(R"({"cmd":"NODE_HANDLE_NACK"})");
    pollfd answer{channel, POLLIN, 0};
    std::array<char, 4096> bytes;
    constexpr int moment_ms = 200;  // for its listener, which may be on its way still
    while (::poll(&answer, 1, moment_ms) > 0 && ::recv(channel, bytes.data(), bytes.size(), 0) > 0) {
    }
    return 0;
  }

  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  const int signals = ::signalfd(-1, &set, SFD_CLOEXEC);
  if (!read_channel()) return 0;
  if (const auto found = faults.find(fault); found != faults.end()) found->second();
  return serve(signals);
}
