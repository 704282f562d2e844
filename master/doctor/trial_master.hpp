// Doctor. A baton of its own that runs the command under examination: started, asked over its control socket, its log
// read. Owns all processes that come of it, and ends them with itself.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.hpp"
#include "master/doctor/clock.hpp"
#include "master/doctor/plan.hpp"
#include "master/system/child.hpp"

namespace baton::doctor {

struct SeenWorker {
  int number = 0;
  pid_t pid = 0;
  std::string state;  ///< as `baton status` has it
};

/// A directory that goes with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  [[nodiscard]] std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

class TrialMaster {
 public:
  /// Throws StartError.
  TrialMaster(const boost::asio::any_io_executor& executor, const Plan& plan);
  TrialMaster(const TrialMaster&) = delete;
  TrialMaster& operator=(const TrialMaster&) = delete;
  /// Kills what is left of it, and of what came to this process as an orphan; not what this process had before.
  ~TrialMaster();

  /// Until it listens. Throws StartError with what it said where it does not come to that.
  boost::asio::awaitable<void> wait_until_it_listens();
  [[nodiscard]] const boost::asio::ip::tcp::endpoint& place() const { return place_; }

  /// Over the control socket. Throws StartError: also when no answer came by `deadline`.
  boost::asio::awaitable<boost::json::object> ask(std::string method, std::string target, TimePoint deadline);
  boost::asio::awaitable<std::vector<SeenWorker>> workers();

  /// Looks again and again, more often where the log grows. False: it did not become true by then.
  boost::asio::awaitable<bool> wait_for(std::function<bool()> holds, TimePoint deadline);
  boost::asio::awaitable<void> pause(TimePoint end);

  /// The master stands still, and so can't clear up behind its workers.
  void freeze() const { master_.signal(SIGSTOP); }
  void thaw() const { master_.signal(SIGCONT); }
  void kill_master() const { master_.signal(SIGKILL); }
  [[nodiscard]] bool has_ended() const { return master_.has_ended(); }

  /// What the workers, or the master with a warning, said last: at most so many lines, by " | ".
  [[nodiscard]] std::string last_words(std::size_t lines) const;
  /// Lines of the master's log that begin and end so.
  [[nodiscard]] std::size_t count_lines(std::string_view begin, std::string_view end) const;

 private:
  boost::asio::awaitable<void> follow_log();
  void take_line(std::string line);

  boost::asio::any_io_executor executor_;
  TemporaryDirectory directory_;
  std::string control_;
  boost::asio::posix::stream_descriptor log_;
  boost::asio::steady_timer news_;
  std::vector<pid_t> strangers_;  ///< children that were here before: of a shell that has become this process
  Child master_;
  boost::asio::ip::tcp::endpoint place_;
  std::string text_;               ///< of a line that has begun
  std::deque<std::string> told_;   ///< the master's lines, the last ones
  std::deque<std::string> words_;  ///< the workers' lines and the master's warnings, the last ones
};

}  // namespace baton::doctor
