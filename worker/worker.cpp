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
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "common/channel.hpp"
#include "common/log.hpp"
#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "common/worker_settings.hpp"
#include "worker/accept.hpp"
#include "worker/handed_socket.hpp"
#include "worker/inherited_channel.hpp"
#include "worker/poller.hpp"
#include "worker/sessions.hpp"
#include "worker/turns.hpp"

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
  void serve(Fd listener);
  void begin_serving();
  void give_back(std::uint64_t socket);
  void reply(std::string_view line);

  void give_signs();
  void tell_closes();
  void glance();
  void on_connection(Fd connection);
  void on_exhausted(int error);
  void pause_accepting();
  void resume_accepting();
  void return_to_line();
  void begin_drain();
  [[nodiscard]] int timeout_ms() const;

  // Destroyed last to first: what handlers refer to outlives them.
  Counters counters_;
  Turns turns_;
  Poller poller_;
  Channel channel_;
  Fd signals_;
  Callback channel_callback_{[this] { on_channel(); }};
  Callback signal_callback_{[this] { on_signal(); }};
  Sessions sessions_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<Acceptor>> given_back_;  ///< until no event of this turn can be theirs
  Phase phase_ = Phase::starting;
  bool stop_asked_ = false;
  bool channel_open_ = true;
  bool out_of_descriptors_ = false;
  bool asked_to_retire_ = false;
  bool tells_closes_ = false;    ///< the master wants to know
  std::size_t handed_ = 0;       ///< connections that came in connections messages and that it believes open
  std::uint64_t most_requests_;  ///< answered before it asks to be replaced; 0: no limit
  std::chrono::milliseconds heartbeat_;
  Sessions::Clock::time_point now_ = Sessions::Clock::now();  ///< when this turn of the loop began
  Sessions::Clock::time_point next_beat_ = now_;
  std::uint64_t accepted_before_ = 0;  ///< the last time that it was looked at
  Sessions::Clock::time_point warm_until_{};
  Sessions::Clock::time_point next_glance_{};
  std::optional<Sessions::Clock::time_point> retry_accept_;
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
    : turns_(counters_, settings.take_turns),
      channel_(std::move(channel)),
      signals_(stop_signals()),
      sessions_(poller_, counters_, fitted(settings), [this] { resume_accepting(); }),
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
      turns_.set_time(now_);
    });
    given_back_.clear();
    sessions_.expire();
    give_signs();
    glance();
    if (tells_closes_) tell_closes();
    if (retry_accept_ && *retry_accept_ <= now_) resume_accepting();
    if (turns_.is_out() && turns_.may_return()) return_to_line();
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
  for (const auto& acceptor : acceptors_) acceptor->glance();
}

/// A worker that was woken for a connection, and has died or been stopped since, has taken the wake-up along. The
/// master tells of most such ends; while there are connections coming, one looks besides, so that nobody waits long.
void Worker::glance() {
  using namespace std::chrono_literals;
  constexpr auto interval = 80ms;
  constexpr auto warm_time = 5s;
  if (const std::uint64_t accepted = counters_.get(Metric::accepted); accepted != accepted_before_) {
    accepted_before_ = accepted;
    warm_until_ = now_ + warm_time;
  }
  if (now_ >= warm_until_ || now_ < next_glance_) return;
  next_glance_ = now_ + interval;
  for (const auto& acceptor : acceptors_) acceptor->glance();
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
  if (retry_accept_) consider(*retry_accept_);
  if (turns_.is_out()) consider(turns_.latest_return());
  if (heartbeat_.count() > 0 && channel_open_) consider(next_beat_);
  if (!acceptors_.empty() && now < warm_until_) consider(next_glance_);
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
  if (message.kind == Kind::withdraw) return give_back(message.number.value_or(0));
  if (message.kind == Kind::glance) {
    for (const auto& acceptor : acceptors_) acceptor->glance();
    return;
  }
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
  if (message.detail == protocol::listener_type && is_listener(*handle)) return serve(std::move(*handle));
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

void Worker::serve(Fd listener) {
  acceptors_.push_back(std::make_unique<Acceptor>(
      poller_, counters_, turns_, std::move(listener), [this](Fd connection) { on_connection(std::move(connection)); },
      [this](int error) { on_exhausted(error); }));
  if (sessions_.is_full())
    acceptors_.back()->pause();
  else
    turns_.join();
  begin_serving();
}

void Worker::begin_serving() {
  if (phase_ != Phase::starting) return;
  phase_ = Phase::serving;
  reply(protocol::ready_line());
}

/// Others accept from it. But a connection may have woken us alone, and then is ours.
void Worker::give_back(std::uint64_t socket) {
  const auto given = std::stable_partition(acceptors_.begin(), acceptors_.end(),
                                           [&](const auto& each) { return !each->serves(socket); });
  given_back_.insert(given_back_.end(), std::move_iterator(given), std::move_iterator(acceptors_.end()));
  acceptors_.erase(given, acceptors_.end());
  for (const auto& each : given_back_) {
    each->glance();
    each->pause();
  }
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

void Worker::on_connection(Fd connection) {
  out_of_descriptors_ = false;
  sessions_.adopt(std::move(connection));
  if (sessions_.is_full()) pause_accepting();
}

void Worker::on_exhausted(int error) {
  using namespace std::chrono_literals;
  constexpr auto retry_interval = 100ms;
  if (!std::exchange(out_of_descriptors_, true))
    log::warning("can't accept with {} connections open: {} (raise LimitNOFILE or fs.file-max); waiting for room",
                 sessions_.size(), describe_errno(error));
  pause_accepting();
  if (phase_ == Phase::draining) return;  // who waits in the queue is left to the others
  retry_accept_ = now_ + retry_interval;
}

void Worker::pause_accepting() {
  turns_.leave();
  for (const auto& acceptor : acceptors_) acceptor->pause();
}

void Worker::resume_accepting() {
  retry_accept_.reset();
  if (phase_ == Phase::draining || sessions_.is_full() || turns_.is_out()) return;
  turns_.join();
  for (const auto& acceptor : acceptors_) acceptor->resume();
}

void Worker::return_to_line() {
  bool in_vain = false;
  if (turns_.is_ahead()) {
    const auto has_left_over = [](const auto& acceptor) { return acceptor->has_left_over(); };
    if (std::any_of(acceptors_.begin(), acceptors_.end(), has_left_over) && turns_.stay_out()) return;
    for (const auto& acceptor : acceptors_) in_vain |= acceptor->take_left_over();
  }
  turns_.come_back(in_vain);
  if (!retry_accept_) resume_accepting();
}

/// Accepts what is queued already, for these clients believe themselves connected, and then gives the listeners up.
void Worker::begin_drain() {
  log::debug("draining, {} connections open", sessions_.size());
  phase_ = Phase::draining;
  retry_accept_.reset();
  turns_.leave();
  sessions_.drain();
  for (const auto& acceptor : acceptors_) acceptor->sweep();
  acceptors_.clear();
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
