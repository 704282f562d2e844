// Master. Listeners that workers are handed on their channels, unasked: their own, and others' that they serve as well.
// Owns nothing; which ones a worker has not confirmed is in its record.
#pragma once

#include <cstdint>
#include <memory>

#include "common/protocol.hpp"
#include "master/process/channel_writer.hpp"
#include "master/process/worker_handle.hpp"

namespace baton {

class ListenerHandover {
 public:
  explicit ListenerHandover(ChannelWriter& writer) : writer_(writer) {}

  /// Throws std::system_error where this process is out of descriptors.
  void hand_over(WorkerHandle& worker, const std::shared_ptr<Vault>& vault);
  /// A listener that is another's, until it is withdrawn. Throws likewise.
  void lend(WorkerHandle& worker, const std::shared_ptr<Vault>& vault);
  void withdraw(WorkerHandle& worker, std::uint64_t cookie);

  /// Hears the answer to the listener that was sent first of those without one: handle_ack or handle_nack. False:
  /// there is none.
  bool hear_answer(WorkerHandle& worker, protocol::Kind kind);

 private:
  void on_refusal(WorkerHandle& worker, const std::shared_ptr<Vault>& vault);

  ChannelWriter& writer_;
};

}  // namespace baton
