// Any program that links the library: what has come from the master and the program has not asked for yet. Owns it.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "common/fd.hpp"
#include "worker/inheritance.hpp"

namespace baton {

class Inbox {
 public:
  void add(std::vector<GivenListener> listeners) { append(listeners_, std::move(listeners)); }
  void add(std::vector<Fd> connections) { append(connections_, std::move(connections)); }
  /// Returns false where the message is dropped: the program asks for none, and there are many.
  bool add(boost::json::value message) {
    if (!wants_messages_ && messages_.size() >= most_kept) return false;
    messages_.push_back(std::move(message));
    return true;
  }

  // Nothing where there is none.
  std::optional<GivenListener> next_listener() { return next(listeners_); }
  std::optional<Fd> next_connection() { return next(connections_); }
  std::optional<boost::json::value> next_message() {
    wants_messages_ = true;
    return next(messages_);
  }

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

  /// The program does not take what comes as fast as it comes: it is to be sent no more. What it does not read waits at
  /// the master, up to a limit.
  [[nodiscard]] bool is_full() const {
    return connections_.size() >= most_kept || (wants_messages_ && messages_.size() >= most_kept);
  }

 private:
  static constexpr std::size_t most_kept = 64;

  template <class Value>
  static void append(std::deque<Value>& queue, std::vector<Value> values) {
    for (Value& each : values) queue.push_back(std::move(each));
  }

  template <class Value>
  static std::optional<Value> next(std::deque<Value>& queue) {
    if (queue.empty()) return std::nullopt;
    std::optional<Value> first(std::move(queue.front()));
    queue.pop_front();
    return first;
  }

  std::deque<GivenListener> listeners_;
  std::deque<Fd> connections_;
  std::deque<boost::json::value> messages_;
  bool wants_messages_ = false;
};

}  // namespace baton
