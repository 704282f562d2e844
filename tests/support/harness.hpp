// Process and interop tests. A running baton: started on a loopback port that the kernel chooses, followed through its
// log, stopped at the end of its scope. A test that ends with it still running asserts a clean stop by that.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/client.hpp"
#include "tests/support/program.hpp"

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

  /// `arguments` are baton's own; where none says where to listen, "-l 127.0.0.1:0" is added. Returns when it listens.
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

  /// Waits until all the workers that the first line announced are ready.
  const std::vector<Worker>& workers();
  [[nodiscard]] std::vector<pid_t> pids();

  std::string wait_for(std::string_view part) { return program_.wait_for(part); }
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
