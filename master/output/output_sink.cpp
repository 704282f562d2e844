// Master. Writing without waiting, to whatever it is.
#include "master/output/output_sink.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"
#include "master/system/task.hpp"

namespace baton {
namespace {

mode_t kind_of(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

std::uint64_t lines_in(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

OutputSink::OutputSink(boost::asio::any_io_executor executor, Fd target, std::string name)
    : executor_(std::move(executor)),
      target_(std::move(target)),
      name_(std::move(name)),
      is_socket_(kind_of(target_.get()) == S_IFSOCK),
      may_block_(!is_socket_ && kind_of(target_.get()) != S_IFREG &&
                 (::fcntl(target_.get(), F_GETFL) & O_NONBLOCK) == 0) {}

void OutputSink::write(std::string_view line, std::size_t most_waiting) {
  add(line, most_waiting);
  flush();
}

void OutputSink::add(std::string_view line, std::size_t most_waiting) {
  constexpr std::size_t enough_for_a_write = std::size_t{32} << 10;
  // Once one was dropped, all are until there is room for many: a note for every few would be no use.
  const bool is_dropping = dropped_ > 0 && !waiting_.empty();
  const bool is_too_much = waiting_.size() + line.size() > most_waiting;
  if (is_too_much || (is_dropping && waiting_.size() > most_waiting / 2)) {
    ++dropped_;
    return;
  }
  note_dropped();
  waiting_ += line;
  if (waiting_.size() >= enough_for_a_write) flush();
}

void OutputSink::flush() {
  if (!awaits_room_ && push() == Taken::some) await_room();
}

void OutputSink::note_dropped() {
  if (dropped_ == 0) return;
  waiting_ += log::compose(log::Level::warning,
                           fmt::format("… {} lines were dropped: {} was not read in time", dropped_, name_));
  noted_ += std::exchange(dropped_, 0);
}

OutputSink::Taken OutputSink::push() {
  while (!waiting_.empty()) {
    const ssize_t count = write_some();
    if (count >= 0) {
      waiting_.erase(0, static_cast<std::size_t>(count));
      has_failed_ = false;
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    const bool is_full = error == EAGAIN || error == EWOULDBLOCK;
    if (is_full && !is_finished_) return Taken::some;
    if (is_full && wait_for_room()) continue;
    // Nobody reads it any more, or the disk is full. The next line tries again.
    if (!is_full && error != EPIPE && !std::exchange(has_failed_, true))
      log::warning("{} can't be written: {}; lines are dropped until it can", name_, describe_errno(error));
    dropped_ += lines_in(waiting_) + noted_ - (noted_ > 0 ? 1 : 0);
    noted_ = 0;
    waiting_.clear();
    return Taken::failed;
  }
  noted_ = 0;
  return Taken::all;
}

/// A pipe that poll(2) calls writable has room for a page.
ssize_t OutputSink::write_some() const {
  if (is_socket_) return ::send(target_.get(), waiting_.data(), waiting_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (!may_block_) return ::write(target_.get(), waiting_.data(), waiting_.size());
  pollfd state{target_.get(), POLLOUT, 0};
  if (::poll(&state, 1, 0) != 1) {
    errno = EAGAIN;
    return -1;
  }
  return ::write(target_.get(), waiting_.data(), std::min<std::size_t>(waiting_.size(), PIPE_BUF));
}

void OutputSink::await_room() {
  if (std::exchange(awaits_room_, true)) return;
  if (!make_watch()) {
    awaits_room_ = false;
    return;
  }
  start_task(executor_, follow_room());
}

/// Asio would make the target non-blocking for all who share it: so it is given an epoll in which the target is.
bool OutputSink::make_watch() {
  room_ = Fd{::epoll_create1(EPOLL_CLOEXEC)};
  epoll_event event{};
  event.events = EPOLLOUT;
  if (!room_.is_open() || ::epoll_ctl(room_.get(), EPOLL_CTL_ADD, target_.get(), &event) == -1) return false;
  watch_ = std::make_unique<Watch>(executor_, room_);
  return true;
}

boost::asio::awaitable<void> OutputSink::follow_room() {
  const std::shared_ptr<OutputSink> self = shared_from_this();
  Taken taken = Taken::some;
  while (taken == Taken::some) {
    const bool has_room = co_await watch_->readable();
    if (is_finished_) co_return;
    if (!has_room) break;
    taken = push();
    if (taken == Taken::all && dropped_ > 0) {
      note_dropped();
      taken = push();
    }
  }
  awaits_room_ = false;
  watch_.reset();
  room_.reset();
}

bool OutputSink::wait_for_room() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up_at_ - std::chrono::steady_clock::now());
  if (left.count() <= 0) return false;
  pollfd state{target_.get(), POLLOUT, 0};
  return ::poll(&state, 1, static_cast<int>(left.count())) == 1;
}

void OutputSink::finish(std::chrono::milliseconds patience) {
  if (std::exchange(is_finished_, true)) return;
  give_up_at_ = std::chrono::steady_clock::now() + patience;
  if (watch_) watch_->cancel();
  awaits_room_ = false;
  note_dropped();
  static_cast<void>(push());
}

Fd nonblocking_copy(int stream) {
  const mode_t kind = kind_of(stream);
  if (kind == S_IFIFO || kind == S_IFCHR) {
    // Opened once more it is an open file of our own, with flags that nobody shares.
    Fd own{::open(fmt::format("/proc/self/fd/{}", stream).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)};
    if (own.is_open()) return own;
  }
  return Fd{check(::fcntl(stream, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), "fcntl(F_DUPFD_CLOEXEC)")};
}

}  // namespace baton
