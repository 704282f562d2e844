// Master. The commands, each passed on to whoever carries it out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "master/control/commands.hpp"
#include "master/messages/worker_messages.hpp"
#include "master/supervisor/rollout.hpp"
#include "master/supervisor/status_report.hpp"

namespace baton {

class MasterCommands final : public Commands {
 public:
  /// All of them outlive this.
  MasterCommands(const StatusReport& status, Rollout& rollout, WorkerMessages& messages, Events& events)
      : status_(status), rollout_(rollout), messages_(messages), events_(events) {}

  [[nodiscard]] boost::json::object status() const override { return status_.describe(); }
  void scale(std::string_view amount, Done done) override { rollout_.scale(amount, std::move(done)); }
  void reload(Done done) override { rollout_.reload(std::move(done)); }
  void stop(Done done) override { rollout_.stop(std::move(done)); }
  void send(const Addressee& to, const boost::json::value& message, std::optional<std::chrono::milliseconds> time_limit,
            Done done) override {
    messages_.send(to, message, time_limit, done);
  }
  std::string carry_out(const state::Operation& operation) override { return messages_.carry_out(operation); }
  [[nodiscard]] Events& changes() override { return messages_.changes(); }
  [[nodiscard]] Events& events() override { return events_; }

 private:
  const StatusReport& status_;
  Rollout& rollout_;
  WorkerMessages& messages_;
  Events& events_;
};

}  // namespace baton
