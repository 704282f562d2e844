// Any program that links the library: one of its connections, as the master's counters know it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "common/scoreboard.hpp"
#include "worker/membership_state.hpp"

namespace baton {

/// A connection that counts as open as long as this lives.
class CountedConnection {
 public:
  explicit CountedConnection(std::shared_ptr<MembershipState> state) : state_(std::move(state)) {
    state_->count_opened();
  }
  CountedConnection(CountedConnection&&) noexcept = default;
  CountedConnection& operator=(CountedConnection&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  CountedConnection(const CountedConnection&) = delete;
  CountedConnection& operator=(const CountedConnection&) = delete;
  ~CountedConnection() {
    if (state_) state_->count_closed();
  }

  /// One request answered with success, in so many bytes.
  void count_request(std::uint64_t bytes) {
    state_->counters().add(Metric::requests);
    state_->counters().add(Metric::bytes, bytes);
  }
  /// One answered with an error; or the connection broke.
  void count_error() { state_->counters().add(Metric::errors); }

 private:
  std::shared_ptr<MembershipState> state_;
};

}  // namespace baton
