// Master. The conversation with a worker of the dialect node-cluster, beneath its questions, which are answered in
// master/cluster: every answer with a listener is kept until the worker has confirmed it, and the worker is asked to
// leave by a message. Owns the tasks that wait for such a worker's end.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <utility>

#include "common/protocol.hpp"
#include "master/process/channel_writer.hpp"
#include "master/process/worker_handle.hpp"
#include "master/process/worker_observer.hpp"

namespace baton {

/// Of the workers that it is given, those with a `cluster`; where any worker may come, it says so.
class ClusterLink {
 public:
  ClusterLink(boost::asio::any_io_executor executor, ChannelWriter& writer, WorkerObserver& observer)
      : executor_(std::move(executor)), writer_(writer), observer_(observer) {}

  /// The answer to a question, with the vault's listener or without one. Throws std::system_error where this process is
  /// out of descriptors.
  void answer(WorkerHandle& worker, std::string line, const std::shared_ptr<Vault>& vault = nullptr);
  /// Whether there is room for one more that brings a listener.
  [[nodiscard]] static bool may_answer(const WorkerHandle& worker);
  /// Whether it listens on all that it has asked for, which makes it ready.
  void note_listening(WorkerHandle& worker, bool listens);

  /// Hears whether the listener of the oldest answer without a confirmation has arrived: handle_ack or handle_nack.
  /// False: there is none.
  bool hear_answer(WorkerHandle& worker, protocol::Kind kind);

  /// Asks it to finish: by the signal that the user has named, else by Node's own message.
  void dismiss(WorkerHandle& worker);
  /// Of any worker: one that was leaving is given a second to end before it is sent TERM.
  void on_channel_end(const std::shared_ptr<WorkerHandle>& worker);
  /// Of any worker: nobody waits for it any more.
  static void on_exit(WorkerHandle& worker);

 private:
  boost::asio::awaitable<void> see_off(std::shared_ptr<WorkerHandle> worker);

  boost::asio::any_io_executor executor_;
  ChannelWriter& writer_;
  WorkerObserver& observer_;
};

}  // namespace baton
