// Process and interop tests. A running baton: started on a loopback port that the kernel chooses, followed through its
// log, stopped at the end of its scope. A test that ends with it still running asserts a clean stop by that.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/clients/client.hpp"
#include "tests/support/programs/program.hpp"

namespace baton::test {

struct Worker {
  int number = 0;
  pid_t pid = 0;
};

class Baton {
 public:
  struct Setup {
    std::vector<std::string> variables;
    std::vector<int> descriptors;
    std::function<void()> before_exec;
  };

  /// `arguments` are baton's own; where none says where to listen, "-l 127.0.0.1:0" is added, but for the dialect
  /// node-cluster. Returns when it listens.
  explicit Baton(std::vector<std::string> arguments) : Baton(std::move(arguments), Setup{}) {}
  Baton(std::vector<std::string> arguments, Setup setup);
  Baton(const Baton&) = delete;
  Baton& operator=(const Baton&) = delete;
  /// Unless the test is failing: sends TERM if it still runs, and checks its end and that nothing is left over.
  ~Baton();

  [[nodiscard]] Program& program() { return program_; }
  [[nodiscard]] pid_t pid() const { return program_.pid(); }
  [[nodiscard]] const std::vector<std::string>& addresses() const { return addresses_; }
  [[nodiscard]] const std::string& address() const { return addresses_.front(); }
  /// The path of its control socket, unless the test names another. One that listens where its workers ask needs
  /// "--name asked" for it.
  [[nodiscard]] std::string control() const;

  /// Waits until all the workers that the first line announced are ready.
  const std::vector<Worker>& workers();
  [[nodiscard]] std::vector<pid_t> pids();
  /// Who was ready last under each number, by the log so far.
  [[nodiscard]] std::map<int, pid_t> latest() const;
  /// Waits for the next under that number.
  Worker wait_for_successor(const Worker& predecessor);
  /// GET /status of its control socket.
  [[nodiscard]] boost::json::object status() const;

  std::string wait_for(std::string_view part) { return program_.wait_for(part); }
  /// How many lines so far say that.
  [[nodiscard]] std::size_t count(std::string_view part) const { return program_.lines_with(part).size(); }
  /// Waits for as many such lines beyond those so far, and returns the last.
  std::string wait_for_next(std::string_view part, std::size_t more = 1);
  void signal(int number) const { program_.signal(number); }
  /// Signals it, and returns its end.
  std::string stop(int number);
  [[nodiscard]] bool log_has(std::string_view part) const { return program_.errors().find(part) != std::string::npos; }

 private:
  Program program_;
  std::vector<std::string> addresses_;
  std::size_t announced_ = 0;
  std::vector<Worker> workers_;
};

/// Asks for a reload by HUP and waits until it is done, `count` times: for each of the workers that are to be replaced,
/// one after another, and for the end.
void reload(Baton& baton, int count = 1);

/// For what no descriptor and no log line tells: looks again and again, until it is so or the patience is over.
template <class Condition>
bool becomes_true(Condition condition) {
  const Deadline deadline;
  while (!condition()) {
    if (deadline.has_passed()) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// A name in the abstract namespace that no other process of the tests has.
std::string abstract_address();

/// Whether a connection to it is refused, now.
bool is_refused(const std::string& address);

/// Of a log line "… worker N pid P …".
Worker worker_in(const std::string& line);

/// Runs baton with exactly these arguments until it ends by itself.
struct Outcome {
  std::string end;  ///< "code 2"
  std::string output;
  std::string errors;
};
Outcome run_baton(const std::vector<std::string>& arguments, const std::vector<std::string>& variables = {});

}  // namespace baton::test
