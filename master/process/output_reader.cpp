// Master. Reading pipes in turns.
#include "master/process/output_reader.hpp"

#include "master/system/task.hpp"

namespace baton {
namespace {

namespace asio = boost::asio;

/// Bytes that are read in one turn, so that others have theirs.
constexpr std::size_t most_per_turn = std::size_t{64} << 10;
/// Bytes that are read after a worker's end: a pipe holds no more, unless somebody who outlives it writes on.
constexpr std::size_t most_at_end = std::size_t{1} << 20;
/// Bytes that wait for a slow reader.
constexpr std::size_t most_waiting = std::size_t{256} << 10;

}  // namespace

void OutputReader::watch(const Handle& worker) {
  for (std::size_t each = 0; each < worker->outputs.size(); ++each) start_task(executor_, follow(worker, each));
}

/// False: nothing follows, and the last line was shown even without a newline.
bool OutputReader::show(const WorkerHandle& worker, OutputEnd& end, Turn turn) {
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

asio::awaitable<void> OutputReader::follow(Handle worker, std::size_t which) {
  const auto& end = worker->outputs.at(which);
  while (end) {
    const bool readable = co_await end->watch.readable();
    if (!readable || !end) break;
    if (!show(*worker, *end, Turn::usual)) worker->outputs.at(which).reset();
  }
}

void OutputReader::read_last(WorkerHandle& worker) {
  for (auto& end : worker.outputs) {
    if (end) show(worker, *end, Turn::last);
    end.reset();
  }
}

}  // namespace baton
