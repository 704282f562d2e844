// Process tests. A load of many clients, each a thread with a blocking socket, that ask as fast as they are answered
// and write down what goes wrong. A server that loses nobody leaves every count but `answered` at 0.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <ostream>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/clients/endpoint.hpp"

namespace baton::test {

/// How one request ended.
enum class Fate {
  answered,
  refused,    ///< nobody listened
  reset,      ///< the connection was reset, be it behind the answer
  empty,      ///< the connection ended before the answer did
  timed_out,  ///< neither came
  malformed,  ///< anything else than a pid, with status 200
};

struct Tally {
  std::array<std::uint64_t, 6> counts{};
  std::vector<std::string> first_failures;  ///< the first few, as "after 1234 ms: reset: recv: …"
  std::set<pid_t> pids;                     ///< who answered
  std::chrono::microseconds slowest{0};     ///< from the connect, or the request on a kept connection, to the answer

  [[nodiscard]] std::uint64_t count(Fate fate) const { return counts.at(static_cast<std::size_t>(fate)); }
  [[nodiscard]] std::uint64_t answered() const { return count(Fate::answered); }
  [[nodiscard]] std::uint64_t failed() const;
};
/// For a failed CHECK.
std::ostream& operator<<(std::ostream& stream, const Tally& tally);

enum class Connections {
  fresh,  ///< a connection for each request, which asks for its end
  late,   ///< the same, and each asks a while after it has connected, as over a network
  kept,   ///< one connection until an answer says "Connection: close"
};

class Traffic {
 public:
  /// Begins at once. The address is in the form of Connection's.
  Traffic(const std::string& address, Connections connections, unsigned clients = 16);
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;
  ~Traffic() { stop(); }

  /// Once every request under way has come to its end; no request is broken off.
  Tally stop();
  [[nodiscard]] Tally so_far() const;
  /// Returns when so many more have been answered; the test fails if they are not in time.
  void wait_for_answers(std::uint64_t more);

 private:
  class Client;
  void record(Fate fate, const std::string& how, pid_t pid, std::chrono::microseconds took);

  const Endpoint endpoint_;
  const Connections connections_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  std::condition_variable progress_;
  std::uint64_t wanted_ = 0;  ///< answers that somebody waits for; 0: nobody
  Tally tally_;
  std::vector<std::jthread> threads_;
};

/// Ends it, and checks that every request was answered, and that there were some.
void check_unharmed(Traffic& traffic);

}  // namespace baton::test
