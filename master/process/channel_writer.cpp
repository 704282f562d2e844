// Master. Sending, gathering and flushing.
#include "master/process/channel_writer.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "common/log.hpp"
#include "master/system/task.hpp"

namespace baton {

namespace asio = boost::asio;
using namespace std::chrono_literals;

void ChannelWriter::send(WorkerHandle& worker, std::string_view line, std::optional<Fd> handle) {
  if (!worker.channel_end) return;
  switch (worker.channel_end->channel.send(line, std::move(handle))) {
    case Channel::Sent::queued:
      flush_later(worker);
      break;
    case Channel::Sent::full:
      if (!std::exchange(worker.sending.loss_told, true))
        log::warning("{} does not read its channel; messages to it are lost", worker.name());
      break;
    case Channel::Sent::whole:
    case Channel::Sent::closed:  // the end of file, which follows, is seen by whoever reads the channel
      break;
  }
}

Channel::Sent ChannelWriter::send_now(WorkerHandle& worker, std::string_view line, std::span<const int> handles) {
  if (!worker.channel_end) return Channel::Sent::closed;
  return note(worker, worker.channel_end->channel.send_now(line, handles));
}

Channel::Sent ChannelWriter::send_message(WorkerHandle& worker, std::string_view line) {
  if (!worker.channel_end) return Channel::Sent::closed;
  Channel& channel = worker.channel_end->channel;
  if (!gathers_) return note(worker, channel.send(line));
  const Channel::Sent sent = channel.add(line);
  if (sent != Channel::Sent::queued) return note(worker, sent);
  gathered_.emplace(worker.id, worker.shared_from_this());
  return sent;
}

void ChannelWriter::flush_gathered() {
  for (const auto& [id, worker] : std::exchange(gathered_, {}))
    if (worker->channel_end && worker->channel_end->channel.flush() == Channel::Sent::queued) flush_later(*worker);
}

void ChannelWriter::stop_gathering() {
  gathers_ = false;
  flush_gathered();
}

/// Of a message that its sender has another use for, where there is no room.
Channel::Sent ChannelWriter::note(WorkerHandle& worker, Channel::Sent sent) {
  worker.sending.wants_room = worker.sending.wants_room || sent == Channel::Sent::full;
  if (sent == Channel::Sent::full || sent == Channel::Sent::queued) flush_later(worker);
  return sent;
}

void ChannelWriter::flush_later(WorkerHandle& worker) {
  if (!std::exchange(worker.sending.is_flushing, true)) start_task(executor_, flush(worker.shared_from_this()));
}

asio::awaitable<void> ChannelWriter::flush(Handle worker) {
  Channel::Sent sent = Channel::Sent::queued;
  while (sent == Channel::Sent::queued && worker->channel_end) {
    const bool writable = co_await worker->channel_end->watch.writable();
    if (!writable || !worker->channel_end) break;
    sent = worker->channel_end->channel.flush();
    if (sent != Channel::Sent::queued && !worker->sending.wants_room) break;
    // It may be for want of memory, while the socket is writable all the time.
    asio::steady_timer pause(executor_, 10ms);
    boost::system::error_code ignored;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  worker->sending.is_flushing = false;
  if (std::exchange(worker->sending.wants_room, false) && worker->channel_end) observer_.on_writable(*worker);
}

}  // namespace baton
