// Worker. The loop and the channel's messages.
#include "worker/worker.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <functional>
#include <optional>
#include <random>
#include <utility>

#include "common/channel.hpp"
#include "common/log.hpp"
#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "common/worker_settings.hpp"
#include "worker/acceptors.hpp"
#include "worker/handed_socket.hpp"
#include "worker/inherited_channel.hpp"
#include "worker/poller.hpp"
#include "worker/sessions.hpp"

namespace baton {
namespace {

using protocol::Kind;
using protocol::Phase;

/// Gives a member function to the poller.
class Callback final : public EventHandler {
 public:
  explicit Callback(std::function<void()> run) : run_(std::move(run)) {}
  void on_events(std::uint32_t /*events*/) override { run_(); }

 private:
  std::function<void()> run_;
};

/// Raises the limit of open files as far as it goes; returns how many connections fit under it.
std::size_t room_for_connections(std::size_t wanted) {
  rlimit limit{};
  check(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  check(::setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  constexpr rlim_t reserved = 32;  // standard streams, channel, epoll, signals, listeners
  const rlim_t room = limit.rlim_cur > 2 * reserved ? limit.rlim_cur - reserved : reserved;
  return std::min<std::size_t>(wanted, room);
}

/// TERM, INT and QUIT as something to read, instead of as interruptions.
Fd stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int each : {SIGTERM, SIGINT, SIGQUIT}) sigaddset(&signals, each);
  check(::sigprocmask(SIG_BLOCK, &signals, nullptr), "sigprocmask");
  return Fd{check(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd")};
}

class Worker {
 public:
  Worker(Fd channel, const WorkerSettings& settings);
  int run();

 private:
  void on_channel();
  void on_signal();
  void on_message(Frame frame);
  void take_handle(const protocol::Message& message, std::optional<Fd> handle);
  void take_scoreboard(std::optional<std::uint64_t> row, const std::optional<Fd>& memory);
  void take_connections(const protocol::Message& message, std::vector<Fd> connections);
  void begin_serving();
  void reply(std::string_view line);

  void give_signs();
  void tell_closes();
  void begin_drain();
  [[nodiscard]] int timeout_ms() const;

  // Destroyed last to first: what handlers refer to outlives them.
  Counters counters_;
  Poller poller_;
  Channel channel_;
  Fd signals_;
  Callback channel_callback_{[this] { on_channel(); }};
  Callback signal_callback_{[this] { on_signal(); }};
  Sessions sessions_;
  Acceptors acceptors_;
  Phase phase_ = Phase::starting;
  bool stop_asked_ = false;
  bool channel_open_ = true;
  bool asked_to_retire_ = false;
  bool tells_closes_ = false;    ///< the master wants to know
  std::size_t handed_ = 0;       ///< connections that came in connections messages and that it believes open
  std::uint64_t most_requests_;  ///< answered before it asks to be replaced; 0: no limit
  std::chrono::milliseconds heartbeat_;
  Sessions::Clock::time_point now_ = Sessions::Clock::now();  ///< when this turn of the loop began
  Sessions::Clock::time_point next_beat_ = now_;
};

WorkerSettings fitted(WorkerSettings settings) {
  settings.max_connections = room_for_connections(settings.max_connections);
  return settings;
}

/// Less up to a tenth, so that workers which started together do not retire together.
std::uint64_t with_jitter(std::uint64_t limit) {
  std::minstd_rand random(static_cast<unsigned>(::getpid()));
  return limit - std::uniform_int_distribution<std::uint64_t>(0, limit / 10)(random);
}

Worker::Worker(Fd channel, const WorkerSettings& settings)
    : channel_(std::move(channel)),
      signals_(stop_signals()),
      sessions_(poller_, counters_, fitted(settings), [this] { acceptors_.resume(); }),
      acceptors_(poller_, counters_, sessions_, settings.take_turns),
      most_requests_(with_jitter(settings.max_requests)),
      heartbeat_(settings.heartbeat) {
  poller_.add(channel_.socket(), EPOLLIN, channel_callback_);
  poller_.add(signals_, EPOLLIN, signal_callback_);
}

int Worker::run() {
  while (phase_ != Phase::draining || sessions_.size() > 0) {
    poller_.wait(timeout_ms(), [this] {
      now_ = Sessions::Clock::now();
      sessions_.set_time(now_, std::time(nullptr));
      acceptors_.set_time(now_);
    });
    sessions_.expire();
    give_signs();
    if (tells_closes_) tell_closes();
    acceptors_.look_after();
    if (stop_asked_ && phase_ != Phase::draining) begin_drain();
  }
  log::debug("all answered, leaving");
  return 0;
}

/// What the master is to know without asking: that this loop turns, and that it is time for a successor.
void Worker::give_signs() {
  const auto time = std::chrono::ceil<std::chrono::milliseconds>(now_.time_since_epoch());
  counters_.set(Metric::last_beat, static_cast<std::uint64_t>(time.count()));
  const std::uint64_t answered = counters_.get(Metric::requests);
  if (most_requests_ > 0 && answered >= most_requests_ && !std::exchange(asked_to_retire_, true))
    reply(protocol::retire_line(fmt::format("has answered {} requests", answered)));
  if (heartbeat_.count() == 0 || !channel_open_ || now_ < next_beat_) return;
  next_beat_ = now_ + heartbeat_;
  if (!counters_.is_attached() && !channel_.has_unsent()) reply(protocol::alive_line());
  acceptors_.glance();
}

/// Once a turn for all of them. Where the master counts, every session has come from it.
void Worker::tell_closes() {
  if (handed_ <= sessions_.size()) return;
  reply(protocol::closed_line(handed_ - sessions_.size()));
  handed_ = sessions_.size();
}

int Worker::timeout_ms() const {
  std::optional<std::chrono::milliseconds> least = sessions_.until_next_deadline();
  const auto now = Sessions::Clock::now();
  const auto consider = [&](Sessions::Clock::time_point when) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - now);
    least = std::max(std::min(least.value_or(left), left), std::chrono::milliseconds(0));
  };
  if (const auto due = acceptors_.next_due(now)) consider(*due);
  if (heartbeat_.count() > 0 && channel_open_) consider(next_beat_);
  return least ? static_cast<int>(least->count()) : -1;
}

void Worker::on_channel() {
  if (channel_.has_unsent() && channel_.flush() == Channel::Sent::whole)
    poller_.modify(channel_.socket(), EPOLLIN, channel_callback_);
  Channel::Batch batch = channel_.receive();
  for (const std::string& fault : batch.faults) log::warning("from the master: {}", fault);
  for (Frame& frame : batch.frames) on_message(std::move(frame));
  if (!batch.closed) return;
  // Node's `disconnect`. Whoever sent us the listener has gone; finish and go, too.
  log::debug("the channel has ended");
  poller_.remove(channel_.socket());
  channel_open_ = false;
  stop_asked_ = true;
}

void Worker::on_signal() {
  signalfd_siginfo received{};
  while (::read(signals_.get(), &received, sizeof received) == sizeof received) stop_asked_ = true;
}

void Worker::on_message(Frame frame) {
  protocol::Message message = protocol::decode(std::move(frame.value));
  // "ready" is a worker's word; from a master it is a message like any other.
  if (message.kind == Kind::ready) message = {Kind::plain, {}, "ready"};
  if (!protocol::is_legal(message.kind, protocol::Sender::master, phase_)) {
    log::warning("from the master: a {} message, which is out of place here, is ignored", protocol::name(message.kind));
    return;
  }
  if (message.kind == Kind::handle) return take_handle(message, std::move(frame.handle));
  if (message.kind == Kind::connections) return take_connections(message, std::move(frame.handles));
  if (message.kind == Kind::scoreboard) return take_scoreboard(message.number, frame.handle);
  if (message.kind == Kind::withdraw) return acceptors_.give_back(message.number.value_or(0));
  if (message.kind == Kind::glance) return acceptors_.glance();
  log::debug("from the master: {}", boost::json::serialize(message.value));
}

void Worker::take_handle(const protocol::Message& message, std::optional<Fd> handle) {
  if (!handle) {
    // Of a connection it is the question whether anybody reads here; of one that was lost the channel has told.
    log::write(message.detail == protocol::connection_type ? log::Level::debug : log::Level::warning,
               "from the master: a handle message came without its descriptor; asking for it again");
    return reply(protocol::handle_nack_line());
  }
  // The acknowledgement says that the descriptor arrived, not that it is of use: asking again would not mend that.
  reply(protocol::handle_ack_line());
  if (message.detail == protocol::listener_type && is_listener(*handle)) {
    acceptors_.add(std::move(*handle));
    return begin_serving();
  }
  if (message.detail == protocol::connection_type && is_connection(*handle))
    return sessions_.adopt(std::move(*handle), Holders::shared);
  log::error(
      "from the master: a handle of type \"{}\" is of no use here and is closed (wanted: net.Server with a "
      "listening stream socket, or net.Socket with a connected one)",
      message.detail);
}

void Worker::take_scoreboard(std::optional<std::uint64_t> row, const std::optional<Fd>& memory) {
  if (!row || !memory)
    return log::warning("from the master: a scoreboard is not used: its {} did not come along",
                        row ? "descriptor" : "slot");
  if (const std::string fault = counters_.attach(*memory, *row); !fault.empty())
    log::warning("from the master: a scoreboard is not used: {}", fault);
}

/// Those that there is room for; the others close here, and the master gives them to somebody else. It is told first:
/// what it is not told of it may give to another, though it had been answered here.
void Worker::take_connections(const protocol::Message& message, std::vector<Fd> connections) {
  const std::size_t taken = std::min(connections.size(), sessions_.room());
  connections.resize(taken);
  tells_closes_ = tells_closes_ || message.wants_closes;
  handed_ += taken;
  reply(protocol::taken_line(taken));
  begin_serving();
  for (Fd& each : connections) sessions_.adopt(std::move(each), Holders::shared);
}

void Worker::begin_serving() {
  if (phase_ != Phase::starting) return;
  phase_ = Phase::serving;
  reply(protocol::ready_line());
}

void Worker::reply(std::string_view line) {
  if (!channel_open_) return;
  switch (channel_.send(line)) {
    case Channel::Sent::whole:
      break;
    case Channel::Sent::queued:
      poller_.modify(channel_.socket(), EPOLLIN | EPOLLOUT, channel_callback_);
      break;
    case Channel::Sent::full:
      log::error("the master does not read its channel; a message to it is lost");
      break;
    case Channel::Sent::closed:
      break;  // the end of file follows
  }
}

/// Accepts what is queued already, for these clients believe themselves connected, and then gives the listeners up.
void Worker::begin_drain() {
  log::debug("draining, {} connections open", sessions_.size());
  phase_ = Phase::draining;
  sessions_.drain();
  acceptors_.give_up();
}

}  // namespace

int run_worker(const std::vector<std::string>& arguments) {
  Settings settings("baton worker [flags]", "The role in which baton serves the listener that its master sends it.",
                    "baton " BATON_VERSION);
  WorkerSettings values;
  add_worker_settings(settings, values);
  add_inner_worker_settings(settings, values);
  settings.parse(arguments);
  const int number = inherited_number();
  log::start(values.log, {"worker", number});
  ::prctl(PR_SET_NAME, "baton-worker");
  for (const int each : {SIGPIPE, SIGXFSZ}) static_cast<void>(std::signal(each, SIG_IGN));
  return Worker(take_inherited_channel(), values).run();
}

}  // namespace baton
