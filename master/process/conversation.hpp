// Master. What is said and heard on a worker's channel: how the worker is introduced to its task, and what each message
// of it means by the protocol's table. Owns the tasks that read the channels.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <vector>

#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "master/process/channel_writer.hpp"
#include "master/process/cluster_link.hpp"
#include "master/process/listener_handover.hpp"
#include "master/process/worker_handle.hpp"
#include "master/process/worker_observer.hpp"

namespace baton {

class Conversation {
 public:
  struct Parts {
    ChannelWriter& writer;
    ListenerHandover& handover;
    ClusterLink& cluster_link;
    Scoreboard& scoreboard;
    WorkerObserver& observer;
  };

  explicit Conversation(const Parts& parts) : parts_(parts) {}

  /// Sends the first messages, in the dialects that begin with some: every listener of the worker's generation, or a
  /// greeting where it is to get connections. Throws std::system_error.
  void introduce(WorkerHandle& worker);
  /// Hears what the worker says until its channel ends.
  boost::asio::awaitable<void> follow(std::shared_ptr<WorkerHandle> worker);
  /// Hears what a worker that has ended had acknowledged: it may have answered that, in part or whole.
  void hear_last_answers(WorkerHandle& worker);

 private:
  void give_row(WorkerHandle& worker);
  void greet(WorkerHandle& worker);
  void hear(WorkerHandle& worker, std::vector<Frame> frames);
  void on_message(WorkerHandle& worker, Frame frame);
  void on_hello(WorkerHandle& worker);
  bool hear_answer(WorkerHandle& worker, const protocol::Message& message);
  bool hear_answer_to_handle(WorkerHandle& worker, protocol::Kind kind);

  Parts parts_;
};

}  // namespace baton
