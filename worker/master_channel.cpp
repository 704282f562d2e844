// Worker. The messages, as a program that links the library takes them.
#include "worker/master_channel.hpp"

#include <fmt/format.h>

#include <utility>

#include "worker/handed_socket.hpp"

namespace baton {

using protocol::Kind;
using protocol::Phase;

namespace {

/// A list of values has each two levels deeper than the operation to put it had.
constexpr Channel::Limits limits{.depth = protocol::deepest + 2};

}  // namespace

MasterChannel::MasterChannel(Fd channel, Counters& counters)
    : channel_(std::move(channel), limits), counters_(counters) {
  reply(protocol::hello_line());
}

MasterChannel::News MasterChannel::read() {
  Channel::Batch batch = channel_.receive();
  News news;
  news.faults = std::move(batch.faults);
  news.has_ended = batch.closed;
  news.answers.reserve(batch.frames.size());
  for (Frame& frame : batch.frames) take(std::move(frame), news);
  return news;
}

void MasterChannel::say_ready() {
  if (phase_ == Phase::starting) phase_ = Phase::serving;
  reply(protocol::ready_line());
}

void MasterChannel::tell_open(std::size_t open) {
  if (!tells_closes_ || handed_ <= open) return;
  reply(protocol::closed_line(handed_ - open));
  handed_ = open;
}

void MasterChannel::take(Frame frame, News& news) {
  protocol::Message message = protocol::decode(std::move(frame.value));
  // A worker's word; from a master it is a message like any other.
  if (message.kind == Kind::ready) message = {Kind::plain, {}, "ready"};
  // The answer to our greeting, which may come when we have said that we are ready.
  if (message.kind == Kind::scoreboard && std::exchange(awaits_scoreboard_, false))
    return take_scoreboard(message.number, frame.handle, news);
  if (!protocol::is_legal(message.kind, protocol::Sender::master, phase_) || message.kind == Kind::scoreboard) {
    news.faults.push_back(
        fmt::format("a {} message, which is out of place here, is ignored", protocol::name(message.kind)));
    return;
  }
  if (message.kind == Kind::handle) return take_handle(std::move(message), std::move(frame.handle), news);
  if (message.kind == Kind::connections) return take_connections(message, std::move(frame.handles), news);
  if (message.kind == Kind::bus) return take_bus_message(std::move(message), news);
  if (message.kind == Kind::plain) news.messages.push_back(std::move(message.value));
  // Of a lost wake-up nobody need tell, for whoever waits for connections looks by itself; and nothing is lent to us.
}

void MasterChannel::take_handle(protocol::Message message, std::optional<Fd> handle, News& news) {
  if (!handle) return reply(protocol::handle_nack_line());
  // It says that the descriptor arrived, not that it is of use: asking again would not mend that.
  reply(protocol::handle_ack_line());
  if (message.detail == protocol::listener_type && is_listener(*handle))
    return news.listeners.push_back({std::move(message.name), std::move(*handle)});
  if (message.detail == protocol::connection_type && is_connection(*handle))
    return news.connections.push_back(std::move(*handle));
  news.faults.push_back(fmt::format(
      "a handle of type \"{}\" is of no use here and is closed (wanted: net.Server with a listening stream socket, or "
      "net.Socket with a connected one)",
      message.detail));
}

/// What others send comes as it is; answers go to whoever asked.
void MasterChannel::take_bus_message(protocol::Message message, News& news) {
  const std::string& verb = message.detail;
  const bool is_answer = verb == "reply" || verb == "state" || verb == "error";
  boost::json::object& said = message.value.get_object();
  if (is_answer && said.contains("id")) return news.answers.push_back(std::move(said));
  news.messages.push_back(std::move(message.value));
}

/// The master is told before any of them is answered: those that it is not told of it gives to others.
void MasterChannel::take_connections(const protocol::Message& message, std::vector<Fd> connections, News& news) {
  tells_closes_ = tells_closes_ || message.wants_closes;
  handed_ += connections.size();
  reply(protocol::taken_line(connections.size()));
  for (Fd& each : connections) news.connections.push_back(std::move(each));
}

void MasterChannel::take_scoreboard(std::optional<std::uint64_t> row, const std::optional<Fd>& memory, News& news) {
  if (!row || !memory) {
    news.faults.push_back(
        fmt::format("a scoreboard is not used: its {} did not come along", row ? "descriptor" : "slot"));
    return;
  }
  if (const std::string fault = counters_.attach(*memory, *row); !fault.empty())
    news.faults.push_back(fmt::format("a scoreboard is not used: {}", fault));
}

}  // namespace baton
