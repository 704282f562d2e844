// Master. Listening for control connections, and accepting them.
#include "master/control/control.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/control/control_sessions.hpp"
#include "master/system/task.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;

constexpr mode_t ours_alone = 0600;
constexpr std::chrono::milliseconds pause_without_descriptors{100};

Listener listen_at(const std::string& path) {
  constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty() || path.size() > most)
    throw StartError(fmt::format("the control socket's path \"{}\" is {}: --control names another", path,
                                 path.empty() ? "empty" : fmt::format("longer than {} bytes", most)));
  try {
    // A name with "@" in front would have no file, and so nobody kept out by its mode.
    return listen_on(UnixAddress{path.front() == '@' ? "./" + path : path, ours_alone}, SOMAXCONN);
  } catch (const StartError& error) {
    throw StartError(fmt::format("the control socket: {} (--control names another path)", error.what()));
  }
}

/// Only root can; anybody else's workers are its own.
void give_away(const std::string& path, uid_t account) {
  if (::lchown(path.c_str(), account, static_cast<gid_t>(-1)) == -1)
    throw StartError(
        fmt::format("the control socket {} can't be given to the workers' user: {}", path, describe_errno(errno)));
}

bool wants_room(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/// Whether a connection waits: accept(2) itself doesn't tell when there is no descriptor, for it wants one first.
bool has_waiting(const Fd& listener) {
  pollfd waiting{listener.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) > 0;
}

}  // namespace

Control::Control(asio::any_io_executor executor, Commands& commands, const std::string& path,
                 const ControlLimits& limits, const ControlAccess& access)
    : executor_(std::move(executor)),
      path_(path),
      listener_(listen_at(path)),
      watch_(std::make_unique<Watch>(executor_, listener_.socket)),
      sessions_(std::make_shared<ControlSessions>(executor_, commands, limits, access)) {
  if (access.account) give_away(path_, *access.account);
  start_task(executor_, accept_all(sessions_));
}

Control::~Control() {
  close();
  sessions_->abandon();
}

void Control::close() {
  watch_.reset();
  listener_.socket.reset();
  listener_.file.reset();
  sessions_->close();
}

/// What is awaited may end successfully after this object did: only `sessions`, which is shared, tells.
asio::awaitable<void> Control::accept_all(std::shared_ptr<ControlSessions> sessions) {
  while (!sessions->is_closing()) {
    const bool readable = co_await watch_->readable();
    if (!readable || sessions->is_closing()) co_return;
    const bool goes_on = accept_ready();
    if (goes_on) continue;
    asio::steady_timer pause(executor_, pause_without_descriptors);
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

/// Accepts all that wait. False where something is missing for it, so that trying again at once would be in vain.
bool Control::accept_ready() {
  while (has_waiting(listener_.socket)) {
    Fd connection{::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (connection.is_open()) {
      is_short_of_descriptors_ = false;
      sessions_->add(std::move(connection));
      continue;
    }
    const int error = errno;
    if (error == EAGAIN) return true;
    if (error == EINTR || error == ECONNABORTED) continue;
    if (wants_room(error) && sessions_->evict_one()) continue;
    if (!std::exchange(is_short_of_descriptors_, true))
      log::warning("the control socket can't accept: {}; it tries again until it can", describe_errno(error));
    return false;
  }
  return true;
}

}  // namespace baton
