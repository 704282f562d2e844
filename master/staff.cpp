// Master. Spawning, the channel's messages, notices, and the end of workers.
#include "master/staff.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <fstream>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/log.hpp"
#include "common/protocol.hpp"
#include "master/awaiting.hpp"
#include "master/dialect/equipment.hpp"
#include "master/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using protocol::Kind;
using protocol::Phase;

std::string WorkerHandle::name() const {
  return fmt::format("worker {} pid {}", number, child.pid());
}

bool WorkerHandle::holds_by_right(const Vault& vault) const {
  const auto& groups = generation->listeners;
  return std::any_of(groups.begin(), groups.end(), [&](const auto& group) {
    const auto found = group->vaults().find(group->policy().place(number));
    return found != group->vaults().end() && found->second.get() == &vault;
  });
}

namespace {

Phase phase(const WorkerHandle& worker) {
  return worker.is_ready ? Phase::serving : Phase::starting;
}

bool is_answer(Kind kind) {
  return kind == Kind::handle_ack || kind == Kind::handle_nack || kind == Kind::taken || kind == Kind::closed ||
         kind == Kind::open || kind == Kind::all_closed || kind == Kind::accepted;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The children of this process, orphans that came to it included.
std::vector<pid_t> children() {
  std::ifstream list(fmt::format("/proc/self/task/{}/children", ::getpid()));
  std::vector<pid_t> found;
  for (pid_t pid = 0; list >> pid;) found.push_back(pid);
  return found;
}

/// The BATON_START that a process was started with, or 0.
int start_of(pid_t pid) {
  std::ifstream environment(fmt::format("/proc/{}/environ", pid));
  const std::string wanted = fmt::format("{}=", protocol::start_variable);
  for (std::string entry; std::getline(environment, entry, '\0');)
    if (entry.starts_with(wanted)) return static_cast<int>(std::strtol(entry.c_str() + wanted.size(), nullptr, 10));
  return 0;
}

/// So that an error leaves no process behind.
void finish_off(const WorkerHandle& worker) {
  constexpr int patience_ms = 1000;
  worker.child.kill_group();
  try {
    if (worker.child.has_ended(patience_ms)) static_cast<void>(worker.child.reap());
  } catch (const std::system_error& error) {
    log::error("{}: {}", worker.name(), error.what());
  }
}

/// A child that nobody has a record of yet: it ends with this, unless somebody has.
struct Newborn {
  explicit Newborn(pid_t its_pid) : pid(its_pid) {}
  Newborn(const Newborn&) = delete;
  Newborn& operator=(const Newborn&) = delete;
  ~Newborn() {
    if (is_known) return;
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  pid_t pid;
  bool is_known = false;
};

std::set<std::uint64_t> inodes_of(const std::vector<std::shared_ptr<Vault>>& listeners) {
  std::set<std::uint64_t> inodes;
  for (const auto& each : listeners) inodes.insert(inode_of(each->copy()));
  return inodes;
}

/// Whether a child that was sent KILL ends, as it does unless the kernel holds it.
bool ends_soon(pid_t pid) {
  constexpr int patience_ms = 1000;
  const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  pollfd state{process.get(), POLLIN, 0};
  return process.is_open() && ::poll(&state, 1, patience_ms) == 1;
}

}  // namespace

// Twice the target is the most that live; a few more are being reaped.
Staff::Staff(asio::any_io_executor executor, Hearer& hearer)
    : executor_(std::move(executor)), hearer_(hearer), scoreboard_(std::size_t{3} * most_workers) {
  const std::vector<pid_t> before = children();
  strangers_.insert(before.begin(), before.end());
}

Staff::~Staff() {
  for (const auto& [id, worker] : workers_) finish_off(*worker);
}

WorkerHandle& Staff::spawn(int id, unsigned number, std::shared_ptr<const Generation> generation) {
  const Options& options = generation->options;
  auto [ours, theirs] = make_channel_pair();
  const uid_t user = options.process.account ? options.process.account->user : ::geteuid();
  Recruit recruit{number, generation->number, id, user, generation->command.arguments, {}};
  for (const auto& group : generation->listeners) recruit.listeners.push_back(group->vault(number));
  const std::set<std::uint64_t> inodes =
      options.ready == Readiness::accepts ? inodes_of(recruit.listeners) : std::set<std::uint64_t>{};
  Equipment equipment = equip(options.dialect, recruit, std::move(theirs));
  Outfit outfit{
      std::move(equipment.descriptors), {}, {}, std::move(equipment.variables), std::move(equipment.pid_variable),
      traits(options.process)};
  add_variables(outfit.variables, options.process);
  std::vector<Pipe> pipes = make_pipes(options, outfit);
  // Those of our own supervisor are not for our workers.
  for (const char* each : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) outfit.variables.emplace_back(each);
  std::optional<NoticeSocket> notices;
  if (!options.command.empty()) {
    notices.emplace(user);
    outfit.variables.push_back("NOTIFY_SOCKET=" + notices->address());
    if (options.hang_timeout.count() > 0)
      outfit.variables.push_back(
          fmt::format("WATCHDOG_USEC={}", std::chrono::microseconds(options.hang_timeout).count()));
  }
  Child child = Child::spawn(executor_, {generation->command.executable, std::move(equipment.arguments)}, outfit);
  Newborn newborn(child.pid());
  outfit = {};  // the ends that are the worker's
  auto worker =
      std::make_shared<WorkerHandle>(executor_, id, number, std::move(generation), std::move(child), std::move(ours));
  if (equipment.ack_socket) worker->ack_end = std::make_unique<AckEnd>(executor_, std::move(*equipment.ack_socket));
  if (asks_for_listeners(options.dialect)) worker->cluster = std::make_unique<ClusterTalk>();
  if (notices) worker->notice_end = std::make_unique<NoticeEnd>(executor_, std::move(*notices));
  for (Pipe& each : pipes)
    worker->outputs.at(static_cast<std::size_t>(each.first)) =
        std::make_unique<OutputEnd>(executor_, std::move(each.second), each.first);
  workers_[id] = worker;
  newborn.is_known = true;
  try {
    introduce(*worker);
  } catch (...) {
    finish_off(*worker);
    forget(*worker);
    throw;
  }
  start_task(executor_, follow_process(worker));
  start_task(executor_, follow_channel(worker));
  for (std::size_t each = 0; each < worker->outputs.size(); ++each) start_task(executor_, follow_output(worker, each));
  if (worker->notice_end) start_task(executor_, follow_notices(worker));
  if (worker->ack_end) start_task(executor_, follow_acks(worker));
  if (worker->generation->options.ready == Readiness::accepts) start_task(executor_, await_accepting(worker, inodes));
  return *worker;
}

/// The first messages, in the dialects that begin with some.
void Staff::introduce(WorkerHandle& worker) {
  const Options& options = worker.generation->options;
  if (inherits_listeners(options.dialect) || asks_for_listeners(options.dialect)) return;
  if (options.command.empty()) give_slot(worker);
  if (hands_connections(options.policy)) return greet(worker);
  for (std::size_t i = 0; i < worker.generation->listeners.size(); ++i) hand_over(worker, i);
}

void Staff::give_slot(WorkerHandle& worker) {
  worker.slot = scoreboard_.take();
  try {
    if (worker.slot) return send(worker, protocol::scoreboard_line(*worker.slot), scoreboard_.memory().duplicate());
  } catch (const std::system_error& error) {  // out of descriptors
    log::debug("{}: {}", worker.name(), error.what());
    scoreboard_.give_back(*std::exchange(worker.slot, std::nullopt));
  }
  log::warning("{} has no place on the scoreboard, and counts for itself", worker.name());
}

/// Once its process is no more, or never was.
void Staff::forget(WorkerHandle& worker) {
  if (worker.slot) scoreboard_.give_back(*std::exchange(worker.slot, std::nullopt));
  workers_.erase(worker.id);
}

const Slot* Staff::counters(const WorkerHandle& worker) const {
  return worker.slot ? &scoreboard_.slot(*worker.slot) : nullptr;
}

TimePoint Staff::last_sign(const WorkerHandle& worker) const {
  if (!worker.slot) return worker.last_sign;
  const TimePoint beat{Milliseconds(scoreboard_.slot(*worker.slot).get(Metric::last_beat))};
  return std::max(worker.last_sign, beat);
}

void Staff::recover_wake_ups() {
  if (std::exchange(recovering_, true)) return;
  asio::post(executor_, [this] {
    recovering_ = false;
    for (const auto& [id, worker] : workers_)
      if (worker->is_ready && worker->generation->options.command.empty()) send(*worker, protocol::glance_line());
  });
}

bool Staff::has_stopped_child() {
  bool found = false;
  siginfo_t stopped{};
  while (::waitid(P_ALL, 0, &stopped, WSTOPPED | WNOHANG) == 0 && stopped.si_pid != 0) {
    found = true;
    stopped.si_pid = 0;
  }
  return found;
}

void Staff::hand_over(WorkerHandle& worker, std::size_t listener) {
  hand_over(worker, worker.generation->listeners.at(listener)->vault(worker.number));
}

void Staff::hand_over(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) {
  Fd copy = vault->copy();
  worker.unacknowledged.push_back(vault);
  send(worker, protocol::listener_line(vault->name()), std::move(copy));
}

void Staff::lend(WorkerHandle& worker, const std::shared_ptr<Vault>& vault) {
  hand_over(worker, vault);
  worker.borrowed[vault->cookie()] = vault;
}

void Staff::withdraw(WorkerHandle& worker, std::uint64_t cookie) {
  worker.borrowed.erase(cookie);
  send(worker, protocol::withdraw_line(cookie));
}

/// A worker that gets connections gets no listener, by which it would know what is wanted of it.
void Staff::greet(WorkerHandle& worker) {
  const Options& options = worker.generation->options;
  worker.is_greeted = true;
  send(worker, protocol::greeting_line(options.policy == Policy::leastconn));
  if (options.ready != Readiness::handle) return;
  worker.is_probed = true;
  send(worker, protocol::probe_line());
}

Channel::Sent Staff::send_now(int id, std::string_view line, std::span<const int> handles) {
  WorkerHandle& worker = at(id);
  if (!worker.channel_end) return Channel::Sent::closed;
  const Channel::Sent sent = worker.channel_end->channel.send_now(line, handles);
  worker.wants_room = worker.wants_room || sent == Channel::Sent::full;
  const bool is_unfinished = sent == Channel::Sent::full || sent == Channel::Sent::queued;
  if (is_unfinished && !std::exchange(worker.flushing, true)) start_task(executor_, flush_channel(workers_.at(id)));
  return sent;
}

void Staff::send(WorkerHandle& worker, std::string_view line, std::optional<Fd> handle) {
  if (!worker.channel_end) return;
  switch (worker.channel_end->channel.send(line, std::move(handle))) {
    case Channel::Sent::queued:
      if (!std::exchange(worker.flushing, true)) start_task(executor_, flush_channel(workers_.at(worker.id)));
      break;
    case Channel::Sent::full:
      if (!std::exchange(worker.loss_told, true))
        log::warning("{} does not read its channel; messages to it are lost", worker.name());
      break;
    case Channel::Sent::whole:
    case Channel::Sent::closed:  // the end of file, which follows, is seen by follow_channel()
      break;
  }
}

asio::awaitable<void> Staff::flush_channel(Handle worker) {
  Channel::Sent sent = Channel::Sent::queued;
  while (sent == Channel::Sent::queued && worker->channel_end) {
    const bool writable = co_await worker->channel_end->watch.writable();
    if (!writable || !worker->channel_end) break;
    sent = worker->channel_end->channel.flush();
    if (sent != Channel::Sent::queued && !worker->wants_room) break;
    // It may be for want of memory, while the socket is writable all the time.
    asio::steady_timer pause(worker->process_watch.executor(), 10ms);
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  worker->flushing = false;
  if (std::exchange(worker->wants_room, false) && worker->channel_end) hearer_.on_writable(*worker);
}

asio::awaitable<void> Staff::follow_channel(Handle worker) {
  while (worker->channel_end) {
    const bool readable = co_await worker->channel_end->watch.readable();
    if (!readable || !worker->channel_end) break;
    Channel::Batch batch = worker->channel_end->channel.receive();
    for (const std::string& fault : batch.faults) log::warning("{}: {}", worker->name(), fault);
    for (Frame& frame : batch.frames) on_message(*worker, std::move(frame));
    if (!batch.closed) continue;
    worker->channel_end.reset();
    log::debug("{}: the channel has ended", worker->name());
    if (worker->cluster && worker->cluster->is_leaving) start_task(executor_, see_off(worker));
    hearer_.on_channel_end(*worker);
  }
}

/// Of a worker that has ended: what it acknowledged it may have answered, in part or whole.
void Staff::hear_last_answers(WorkerHandle& worker) {
  constexpr int most_rounds = 64;  // what it has started may hold the channel, and talk on
  bool goes_on = worker.channel_end != nullptr;
  for (int round = 0; goes_on && round < most_rounds; ++round) {
    Channel::Batch batch = worker.channel_end->channel.receive();
    for (Frame& frame : batch.frames) {
      const protocol::Message message = protocol::decode(std::move(frame.value));
      const bool is_of_connections =
          message.kind == Kind::taken || message.kind == Kind::accepted || message.kind == Kind::handle_ack;
      if (is_of_connections) static_cast<void>(hearer_.on_answer(worker, message));
    }
    goes_on = !batch.closed && !batch.frames.empty();
  }
}

void Staff::on_message(WorkerHandle& worker, Frame frame) {
  const protocol::Message message = protocol::decode(std::move(frame.value));
  const bool is_legal = protocol::is_legal(message.kind, protocol::Sender::worker, phase(worker));
  const bool is_heard_out = is_legal && is_answer(message.kind) && hear_answer(worker, message);
  if (!is_legal || (is_answer(message.kind) && !is_heard_out)) {
    log::warning("{}: a {} message, which is out of place here, is ignored", worker.name(),
                 protocol::name(message.kind));
    // A Node process that sends a handle holds every later message back until it is confirmed.
    if (message.kind == Kind::handle) send(worker, protocol::handle_ack_line());
    return;
  }
  worker.last_sign = std::chrono::steady_clock::now();
  switch (message.kind) {
    case Kind::hello:
      return welcome(worker);
    case Kind::ready:
      worker.said_ready = true;
      return tell_if_ready(worker);
    case Kind::retire:
      return hearer_.on_wants_to_retire(worker, message.detail);
    case Kind::cluster:
      if (worker.cluster) hearer_.on_cluster(worker, message);
      return;
    case Kind::plain:
      return log::info("{} says {}", worker.name(), boost::json::serialize(message.value));
    default:
      return;
  }
}

/// Of a command that knows baton.
void Staff::welcome(WorkerHandle& worker) {
  const bool is_embedded = worker.generation->options.command.empty();
  if (is_embedded || std::exchange(worker.said_hello, true))
    return log::warning("{}: a hello message, which is out of place here, is ignored", worker.name());
  // While it is probed, it would take the scoreboard's descriptor for the probe's, if it read both together.
  if (!worker.is_probed) give_slot(worker);
}

/// False: nobody asked.
bool Staff::hear_answer(WorkerHandle& worker, const protocol::Message& message) {
  const bool is_of_handle = message.kind == Kind::handle_ack || message.kind == Kind::handle_nack;
  if (is_of_handle && std::exchange(worker.is_probed, false)) {
    if (worker.said_hello) give_slot(worker);
    tell_if_ready(worker);
    return true;
  }
  if (is_of_handle && worker.cluster && hear_confirmation(worker, message)) return true;
  if (message.kind == Kind::handle_ack && !worker.unacknowledged.empty()) {
    worker.unacknowledged.pop_front();
    tell_if_ready(worker);
    return true;
  }
  if (message.kind == Kind::handle_nack && !worker.unacknowledged.empty()) {
    on_refusal(worker);
    return true;
  }
  const bool answers_greeting = message.kind == Kind::taken && !worker.is_ready;
  if (answers_greeting && std::exchange(worker.is_greeted, false)) return worker.takes_many = true;
  return hearer_.on_answer(worker, message);
}

/// It got the message without its descriptor: it was at its limit of open files. Node, too, tries three times.
void Staff::on_refusal(WorkerHandle& worker) {
  constexpr unsigned most_refusals = 3;
  const std::shared_ptr<Vault> listener = worker.unacknowledged.front();
  worker.unacknowledged.pop_front();
  const bool is_lent = !worker.holds_by_right(*listener);
  if (is_lent && !worker.borrowed.contains(listener->cookie())) return;  // withdrawn meanwhile
  try {
    if (++worker.refusals < most_refusals) return hand_over(worker, listener);
  } catch (const std::system_error& error) {
    log::error("{} asks for its listener again, and there is none to give: {}", worker.name(), error.what());
    return worker.child.signal(SIGTERM);
  }
  if (is_lent) return log::error("{} could not receive a listener that it was to serve, too", worker.name());
  log::error("{} could not receive the listener, and is stopped (is its limit of open files too low?)", worker.name());
  worker.child.signal(SIGTERM);
}

void Staff::tell_if_ready(WorkerHandle& worker) {
  if (worker.is_ready || worker.is_probed || !worker.unacknowledged.empty()) return;
  switch (worker.generation->options.ready) {
    case Readiness::message:
      worker.is_ready = worker.said_ready;
      break;
    case Readiness::handle:
      worker.is_ready = worker.cluster ? worker.cluster->listens : worker.said_ready || !worker.said_hello;
      break;
    case Readiness::notify:
      worker.is_ready = worker.notified_ready;
      break;
    case Readiness::accepts:
      worker.is_ready = worker.notified_ready || worker.said_ready || (worker.accepts && !worker.said_hello);
      break;
  }
  if (worker.is_ready) hearer_.on_ready(worker);
}

/// Nothing tells of it but a look; a program that says so itself is quicker.
asio::awaitable<void> Staff::await_accepting(Handle worker, std::set<std::uint64_t> inodes) {
  constexpr auto longest = 50ms;
  asio::steady_timer pause(executor_);
  for (std::chrono::milliseconds time = 2ms; !worker->is_ready && workers_.contains(worker->id);
       time = std::min<std::chrono::milliseconds>(time * 2, longest)) {
    boost::system::error_code ignored;
    pause.expires_after(time);
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (worker->is_ready || !workers_.contains(worker->id)) break;
    worker->accepts = awaits_connections(worker->child.pid(), inodes) != Awaiting::no;
    if (worker->accepts) tell_if_ready(*worker);
  }
}

asio::awaitable<void> Staff::follow_notices(Handle worker) {
  constexpr std::string_view reloading = "reloads";
  while (worker->notice_end) {
    const bool readable = co_await worker->notice_end->watch.readable();
    if (!readable || !worker->notice_end) break;
    Notice notice = worker->notice_end->notices.receive(worker->child.pid());
    if (notice.reloading) worker->status = reloading;
    if (notice.ready && worker->status == reloading) worker->status.clear();
    if (notice.status) worker->status = std::move(*notice.status);
    if (notice.alive || notice.ready) worker->last_sign = std::chrono::steady_clock::now();
    worker->notified_ready = worker->notified_ready || notice.ready;
    if (notice.ready) tell_if_ready(*worker);
    if (notice.stopping) hearer_.on_wants_to_retire(*worker, "says that it stops");
    if (notice.hung) hearer_.on_hung(*worker, "says that it hangs");
  }
}

asio::awaitable<void> Staff::follow_acks(Handle worker) {
  while (worker->ack_end) {
    const bool readable = co_await worker->ack_end->watch.readable();
    if (!readable || !worker->ack_end) break;
    const AckSocket::Received received = worker->ack_end->acks.receive();
    if (received.acknowledgement) {
      worker->said_ready = true;
      tell_if_ready(*worker);
    }
    if (!received.is_exhausted) continue;
    asio::steady_timer pause(executor_, 100ms);  // it would be told of the same connection again at once
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<void> Staff::follow_process(Handle worker) {
  // Asio may say so too early: it reuses its record of a descriptor, and an event meant for the one before may reach
  // it.
  do {
    const bool goes_on = co_await worker->process_watch.readable();
    if (!goes_on) co_return;
  } while (!worker->child.has_ended());
  // What it started and left behind would hold the listener, and answer nobody's signals.
  worker->child.kill_group();
  const Ending ending = worker->child.reap();
  hear_last_answers(*worker);
  hear_last_output(*worker);
  worker->channel_end.reset();
  if (worker->cluster && worker->cluster->patience) worker->cluster->patience->cancel();
  worker->notice_end.reset();
  worker->ack_end.reset();
  forget(*worker);
  hearer_.on_exit(*worker, ending);
  sweep_orphans();
}

void Staff::carry_out(int id, Action action) {
  const Child& child = at(id).child;
  switch (action) {
    case Action::drain:
      if (at(id).cluster) return dismiss(at(id));
      return child.signal(at(id).farewell);
    case Action::terminate:
      return child.signal(SIGTERM);
    case Action::abort:
      return child.signal(SIGABRT);
    case Action::kill:
      return child.kill_group();
    case Action::none:
    case Action::announce:
      return;
  }
}

void Staff::kill_all() {
  for (const auto& [id, worker] : workers_) worker->child.kill_group();
}

std::vector<pid_t> Staff::orphans() const {
  std::vector<pid_t> found;
  for (const pid_t pid : children()) {
    bool is_known = strangers_.contains(pid);
    for (const auto& [id, worker] : workers_) is_known = is_known || worker->child.pid() == pid;
    if (!is_known) found.push_back(pid);
  }
  return found;
}

void Staff::sweep_orphans() {
  for (const pid_t pid : orphans()) {
    const std::string program = first_line(fmt::format("/proc/{}/comm", pid));
    const int start = start_of(pid);
    if (::waitpid(pid, nullptr, WNOHANG) != 0) {
      killed_orphans_.erase(pid);
      continue;
    }
    // It may hold the listener, and would serve with nobody to stop it.
    if (start != 0 && workers_.contains(start)) continue;
    if (start == 0 && !workers_.empty()) continue;
    if (!killed_orphans_.insert(pid).second) continue;
    log::warning("a worker that has ended left {} pid {} behind, which is killed", program, pid);
    ::kill(pid, SIGKILL);
  }
}

void Staff::end_orphans() {
  // The children of one that is killed come to us in their turn.
  for (std::vector<pid_t> left = orphans(); !left.empty(); left = orphans()) {
    sweep_orphans();
    for (const pid_t pid : left)
      if (killed_orphans_.contains(pid) && !ends_soon(pid)) return log::error("pid {} does not end by KILL", pid);
  }
}

}  // namespace baton
