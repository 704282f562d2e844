// Process tests. A master in the test's own hands: starts `baton worker`, or another program, with one end of a channel
// and speaks on the other by hand, so that it can say what no right master would.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/fd.hpp"
#include "tests/support/programs/program.hpp"

namespace baton::test {

class FakeMaster {
 public:
  /// `arguments` are those behind `baton worker`.
  explicit FakeMaster(const std::vector<std::string>& arguments = {});
  /// Another program, which is to end with the channel as `baton worker` does.
  struct Command {
    std::vector<std::string> words;
  };
  explicit FakeMaster(const Command& command);
  FakeMaster(const FakeMaster&) = delete;
  FakeMaster& operator=(const FakeMaster&) = delete;
  /// Unless the test is failing: ends the channel and checks that the worker ends for it with code 0.
  ~FakeMaster();

  [[nodiscard]] Program& worker() { return worker_; }

  void send_bytes(std::string_view bytes) { send_piece(bytes, {}); }
  /// Bytes, and with the first of them the descriptors.
  void send_piece(std::string_view bytes, const std::vector<int>& descriptors);
  /// One line likewise.
  void send(std::string_view line, const std::vector<int>& descriptors = {}) {
    send_piece(std::string(line) + "\n", descriptors);
  }
  /// The worker's next line, without the newline; the test fails when none comes.
  std::string read_line();
  /// Whether the worker has something to say now.
  [[nodiscard]] bool has_answer() const;
  /// Returns once the worker has dealt with everything before. It must log at level debug.
  void wait_until_heard();
  void end_channel() { channel_.reset(); }

 private:
  FakeMaster(const std::vector<std::string>& command, std::pair<Fd, Fd> ends);

  Fd channel_;
  Program worker_;
  std::string received_;
  int marks_ = 0;
};

/// For a worker whose log says everything.
inline const std::vector<std::string> debug_log{"--log-level", "debug"};

/// A listening socket on a loopback port that the kernel chose, and its address.
struct LoopbackListener {
  LoopbackListener();
  Fd socket;
  std::string address;
};

}  // namespace baton::test
