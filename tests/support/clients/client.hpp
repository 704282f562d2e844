// Process and interop tests. An HTTP client on a blocking socket with a time limit, which sends the very bytes that a
// test gives it and shows the very bytes that come.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "common/fd.hpp"

namespace baton::test {

inline const std::string last_request = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
inline const std::string plain_request = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

struct Response {
  int status = 0;
  std::map<std::string, std::string> fields;  ///< by name in lower case
  std::string body;
};

class Connection {
 public:
  /// To "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock" or "unix:@name". Throws std::system_error.
  explicit Connection(const std::string& address);
  /// Takes a connected socket.
  explicit Connection(Fd connected);

  [[nodiscard]] const Fd& socket() const { return socket_; }

  /// False when the other side has closed.
  bool send(std::string_view bytes);
  /// The next answer. The test fails when the connection ends or nothing comes. `to_head`: it has no body.
  Response read_response(bool to_head = false);
  /// Everything up to the end of file; a reset fails the test.
  std::string read_to_end();
  /// Whether something to read, or the end, came within that time.
  bool is_readable_within(int milliseconds) const;

 private:
  bool read_more();
  void require_more();
  std::string take(std::size_t count);

  Fd socket_;
  std::string received_;
};

/// A GET on a connection of its own, which the other side has closed by the time that this returns.
Response get(const std::string& address);

/// The N of an answer "pid is N\n" with status 200; the test fails on any other.
pid_t pid_in(const Response& response);
inline pid_t answering_pid(const std::string& address) {
  return pid_in(get(address));
}

/// Who answered how many of `count` connections, one after another.
std::map<pid_t, int> shares(const std::string& address, int count);

/// Asks until `wanted` different workers have answered: on a busy machine a worker can miss turns.
std::set<pid_t> answering_pids(const std::string& address, std::size_t wanted);

/// Of "127.0.0.1:80" the "80".
inline std::string port_of(const std::string& address) {
  return address.substr(address.rfind(':') + 1);
}

}  // namespace baton::test
