// Process tests. A master with a foreign worker that breaks the channel's rules: the others serve on, and the master's
// table of descriptors stays as it was.
#include <csignal>
#include <set>

#include "tests/support/catch/catch.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// Worker 1 of three is odd; 2 and 3 are baton's own. The odd one holds the listener, and does not accept.
class OddCluster {
 public:
  explicit OddCluster(const std::string& deed)
      : baton_({"-w", "3", "--log-level", "debug", "--", programs::odd_worker(), deed, programs::baton()}) {
    odd_ = worker_in(baton_.wait_for("worker 1 pid")).pid;
    for (const char* name : {"worker 2 pid", "worker 3 pid"}) sound_.insert(worker_in(baton_.wait_for(name)).pid);
  }

  [[nodiscard]] Baton& baton() { return baton_; }
  void begin() {
    baton_.wait_for("says \"begin\"");
    signal_process(open_pidfd(odd_), SIGUSR1);
  }
  [[nodiscard]] std::size_t descriptors() const { return descriptors_of(baton_.pid()).size(); }
  /// A channel's end is in the log a moment before the descriptor is closed.
  [[nodiscard]] std::size_t descriptors_once(std::size_t expected) {
    const Deadline deadline;
    while (descriptors() != expected && !deadline.has_passed()) answering_pid(baton_.address());
    return descriptors();
  }
  /// Each answers, be it that one of them has just begun to accept.
  void check_others_serve() {
    const Deadline deadline;
    std::set<pid_t> seen;
    for (int i = 0; i < 20 || (seen != sound_ && !deadline.has_passed()); ++i)
      seen.insert(answering_pid(baton_.address()));
    CHECK(seen == sound_);
  }

 private:
  Baton baton_;
  pid_t odd_ = 0;
  std::set<pid_t> sound_;
};

struct Deed {
  std::string name;
  std::string sign;   ///< in the master's log, once it has seen the deed
  bool ends = false;  ///< the channel, which the master then closes on its side
};

}  // namespace

TEST_CASE("of 100 MB of messages a part is logged, the master's memory stays as it was, and the others serve") {
  OddCluster cluster("a flood of messages");
  cluster.check_others_serve();
  cluster.baton().wait_for("says \"begin\"");
  const std::uint64_t memory = resident_memory(cluster.baton().pid());
  cluster.begin();
  cluster.baton().wait_for("sends more than goes to the log");
  cluster.check_others_serve();
  cluster.baton().wait_for(": the channel has ended");  // which is behind the flood
  CHECK(cluster.baton().count("more messages are not in the log") > 0);
  CHECK(cluster.baton().count("says \"xxx") < 5000);
  if (!programs::are_sanitized()) CHECK(resident_memory(cluster.baton().pid()) < memory + (std::uint64_t{16} << 20));
  cluster.check_others_serve();
}

TEST_CASE("a foreign worker that breaks the channel's rules harms nobody") {
  const Deed deed = GENERATE(values<Deed>({
      {"garbage", "a message is not JSON", false},
      {"answers nobody asked for", "a handle_nack message, which is out of place here, is ignored", false},
      {"handles", "a handle message, which is out of place here, is ignored", false},
      {"handles, unread answers", "a handle message, which is out of place here, is ignored", false},
      {"handles without descriptors", "a handle message, which is out of place here, is ignored", false},
      {"stowaways", "50 descriptor(s) came with no message for them and are closed", false},
      {"an endless line", "a message is longer than", true},
      {"half a line", "the channel ended within a message", true},
      {"an early end", "the channel has ended", true},
  }));
  CAPTURE(deed.name);
  OddCluster cluster(deed.name);
  cluster.check_others_serve();
  cluster.baton().wait_for("says \"begin\"");
  const std::size_t before = cluster.descriptors();
  cluster.begin();
  cluster.baton().wait_for(deed.sign);
  cluster.baton().wait_for(deed.ends ? "worker 1 pid" : "says \"done\"");
  if (deed.ends) cluster.baton().wait_for(": the channel has ended");
  cluster.check_others_serve();
  CHECK(cluster.descriptors_once(before - (deed.ends ? 1 : 0)) == before - (deed.ends ? 1 : 0));
}

TEST_CASE("a foreign worker that could not receive the listener is stopped, and the others serve on") {
  OddCluster cluster("a refusal");
  cluster.baton().wait_for("could not receive the listener, and is stopped");
  cluster.baton().wait_for("was killed by SIGTERM (Terminated)");
  cluster.check_others_serve();
}

TEST_CASE("what a foreign worker says is in the log") {
  OddCluster cluster("nothing");
  cluster.begin();
  CHECK(cluster.baton().wait_for("says \"done\"").find(" info master[") != std::string::npos);
}
