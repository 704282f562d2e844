// Master. Starting a worker's process.
#include "master/process/launcher.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <utility>
#include <vector>

#include "master/dialect/handoff.hpp"
#include "master/process/accept_probe.hpp"
#include "master/process/worker_variables.hpp"

namespace baton {
namespace {

using Pipe = std::pair<Stream, Fd>;

/// A child that nobody has a record of yet: it ends with this, unless somebody has.
struct UnrecordedChild {
  explicit UnrecordedChild(pid_t its_pid) : pid(its_pid) {}
  UnrecordedChild(const UnrecordedChild&) = delete;
  UnrecordedChild& operator=(const UnrecordedChild&) = delete;
  ~UnrecordedChild() {
    if (is_known) return;
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  pid_t pid;
  bool is_known = false;
};

uid_t user_of(const ProcessSettings& settings) {
  return settings.account ? settings.account->user : ::geteuid();
}

WorkerSpec spec_of(int id, unsigned number, const Generation& generation) {
  const ProcessSettings& settings = generation.options.process;
  WorkerSpec spec{number, generation.number,   id, user_of(settings), generation.command.arguments,
                  {},     settings.nonblocking};
  for (const auto& group : generation.listeners) spec.listeners.push_back(group->vault(number));
  return spec;
}

std::set<std::uint64_t> inodes_of(const std::vector<std::shared_ptr<Vault>>& listeners) {
  std::set<std::uint64_t> inodes;
  for (const auto& each : listeners) inodes.insert(inode_of(each->copy()));
  return inodes;
}

/// `raised` is the limit of open files that holds where the settings name none.
ChildTraits traits_of(const ProcessSettings& settings, const std::optional<rlimit>& raised) {
  ChildTraits traits{raised, settings.nice, settings.umask, settings.directory, settings.account};
  if (settings.open_files) traits.open_files = rlimit{*settings.open_files, *settings.open_files};
  return traits;
}

/// The master's ends. What the embedded worker writes is its log, which says itself who writes.
std::vector<Pipe> make_pipes(const Options& options, SpawnSetup& setup) {
  std::vector<Pipe> pipes;
  if (options.command.empty() || options.process.raw_output) return pipes;
  for (const Stream stream : {Stream::output, Stream::errors}) {
    auto [ours, theirs] = make_output_pipe();
    (stream == Stream::output ? setup.output : setup.errors) = std::move(theirs);
    pipes.emplace_back(stream, std::move(ours));
  }
  return pipes;
}

}  // namespace

std::shared_ptr<WorkerHandle> Launcher::launch(int id, unsigned number,
                                               std::shared_ptr<const Generation> generation) const {
  const Options& options = generation->options;
  auto [ours, theirs] = make_channel_pair();
  const WorkerSpec spec = spec_of(id, number, *generation);
  std::set<std::uint64_t> inodes;
  if (options.ready == Readiness::accepts) inodes = inodes_of(spec.listeners);
  Handoff handoff = make_handoff(options.dialect, spec, std::move(theirs));
  std::optional<NotifySocket> notify_socket;
  if (!options.command.empty()) notify_socket.emplace(spec.user);
  SpawnSetup setup{
      std::move(handoff.descriptors),         {}, {}, std::move(handoff.variables), std::move(handoff.pid_variable),
      traits_of(options.process, open_files_)};
  for (std::string& each : worker_variables(options, {worker_socket_, notify_socket ? notify_socket->address() : ""}))
    setup.variables.push_back(std::move(each));
  std::vector<Pipe> pipes = make_pipes(options, setup);

  Child child = Child::spawn(executor_, {generation->command.executable, std::move(handoff.arguments)}, setup);
  UnrecordedChild unrecorded(child.pid());
  setup = {};  // the ends that are the worker's
  auto worker =
      std::make_shared<WorkerHandle>(executor_, id, number, std::move(generation), std::move(child), std::move(ours));
  worker->listener_inodes = std::move(inodes);
  if (handoff.ack_socket) worker->ack_end = std::make_unique<AckEnd>(executor_, std::move(*handoff.ack_socket));
  if (asks_for_listeners(options.dialect)) worker->cluster = std::make_unique<ClusterState>();
  if (notify_socket) worker->notify_end = std::make_unique<NotifyEnd>(executor_, std::move(*notify_socket));
  for (Pipe& each : pipes)
    worker->outputs.at(static_cast<std::size_t>(each.first)) =
        std::make_unique<OutputEnd>(executor_, std::move(each.second), each.first);
  unrecorded.is_known = true;
  return worker;
}

}  // namespace baton
