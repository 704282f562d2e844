// Master. Messages that wait for a reply: who is asked, until when, and what is to be done with the reply. Each ends
// once, by a reply, by its time, or by the end of whoever was asked. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "common/clock.hpp"

namespace baton {

class OpenRequests {
 public:
  /// JSON, or nothing and why: "late", "gone".
  struct Reply {
    std::optional<std::string> message;
    std::string_view problem;
  };
  using Done = std::function<void(const Reply&)>;

  static constexpr std::size_t most_of_one = 1024;

  /// The number by which the reply names it. `asker` and `asked` are processes' ids; 0: nobody's. Nothing where that
  /// asker has too many open.
  std::optional<std::uint64_t> open(int asker, int asked, TimePoint until, Done done);
  /// False: nobody waits for it any more, or it is not for this one to answer.
  bool answer(int asked, std::uint64_t number, std::string message);
  /// Without a word.
  void drop(std::uint64_t number);
  /// That process has ended: what it was asked is answered, and what it asked is forgotten.
  void forget(int id);
  /// Ends those whose time is over.
  void expire(TimePoint now);
  /// When the next one's time is over.
  [[nodiscard]] std::optional<TimePoint> deadline() const;

 private:
  struct Request {
    int asker = 0;
    int asked = 0;
    TimePoint until;
    Done done;
  };
  using Requests = std::map<std::uint64_t, Request>;

  void end(Requests::iterator at, const Reply& reply);
  Done take(Requests::iterator at);

  Requests requests_;
  std::uint64_t last_ = 0;
  std::map<int, std::size_t> open_;  ///< by asker
  std::set<std::pair<TimePoint, std::uint64_t>> deadlines_;
};

}  // namespace baton
