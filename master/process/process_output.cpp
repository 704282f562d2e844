// Master. What workers write, and what they are started with besides descriptors: the ProcessTable's part in the
// settings of their processes.
#include <algorithm>
#include <utility>

#include "master/process/process_table.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Bytes that are read in one turn, so that others have theirs.
constexpr std::size_t most_per_turn = std::size_t{64} << 10;
/// Bytes that are read after a worker's end: a pipe holds no more, unless somebody who outlives it writes on.
constexpr std::size_t most_at_end = std::size_t{1} << 20;
/// Bytes that wait for a slow reader.
constexpr std::size_t most_waiting = std::size_t{256} << 10;

bool has(const std::vector<std::string>& variables, const std::string& name) {
  return std::any_of(variables.begin(), variables.end(),
                     [&](const std::string& each) { return each.starts_with(name + "="); });
}

}  // namespace

/// Programs look for their user's files by these.
void ProcessTable::add_variables(std::vector<std::string>& variables, const ProcessSettings& settings) {
  variables.insert(variables.end(), settings.variables.begin(), settings.variables.end());
  if (!settings.account) return;
  const std::pair<const char*, const std::string&> of_account[] = {
      {"USER", settings.account->name}, {"LOGNAME", settings.account->name}, {"HOME", settings.account->home}};
  for (const auto& [name, value] : of_account)
    if (!value.empty() && !has(settings.variables, name)) variables.push_back(std::string(name) + "=" + value);
}

ChildTraits ProcessTable::traits(const ProcessSettings& settings) const {
  ChildTraits traits{open_files_, settings.nice, settings.umask, settings.directory, settings.account};
  if (settings.open_files) traits.open_files = rlimit{*settings.open_files, *settings.open_files};
  return traits;
}

/// The master's ends. What the embedded worker writes is its log, which says itself who writes.
std::vector<ProcessTable::Pipe> ProcessTable::make_pipes(const Options& options, SpawnSetup& setup) {
  std::vector<Pipe> pipes;
  if (options.command.empty() || options.process.raw_output) return pipes;
  for (const Stream stream : {Stream::output, Stream::errors}) {
    auto [ours, theirs] = make_output_pipe();
    (stream == Stream::output ? setup.output : setup.errors) = std::move(theirs);
    pipes.emplace_back(stream, std::move(ours));
  }
  return pipes;
}

/// False: nothing follows, and the last line was shown even without a newline.
bool ProcessTable::show_output(const WorkerHandle& worker, OutputEnd& end, Turn turn) {
  const Generation& generation = *worker.generation;
  OutputSink& sink = generation.output ? generation.output->sink() : streams_.of(end.stream);
  const Author author{worker.number, worker.child.pid(), end.stream};
  const auto take = [&](std::string_view line) {
    sink.add(render_line(generation.options.worker.log.format, author, line), most_waiting);
  };
  const bool is_last = !end.read(turn == Turn::usual ? most_per_turn : most_at_end, take) || turn == Turn::last;
  if (is_last) end.lines.finish(take);
  sink.flush();
  return !is_last;
}

asio::awaitable<void> ProcessTable::follow_output(Handle worker, std::size_t which) {
  const auto& end = worker->outputs.at(which);
  while (end) {
    const bool readable = co_await end->watch.readable();
    if (!readable || !end) break;
    if (!show_output(*worker, *end, Turn::usual)) worker->outputs.at(which).reset();
  }
}

/// Of a worker that has ended. Whoever it left behind may hold the pipes open, and is not waited for.
void ProcessTable::hear_last_output(WorkerHandle& worker) {
  for (auto& end : worker.outputs) {
    if (end) show_output(worker, *end, Turn::last);
    end.reset();
  }
}

}  // namespace baton
