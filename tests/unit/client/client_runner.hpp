// Unit tests of the control socket's clients. The client runs in a thread beside the loop of the server; it has no Asio
// in it.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "common/settings.hpp"
#include "master/client/client.hpp"
#include "tests/unit/control/control_server.hpp"

namespace baton::test {

/// A stream to print into.
class MemoryStream {
 public:
  MemoryStream() : stream_(::open_memstream(&text_, &size_)) {}
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;
  ~MemoryStream() {
    std::fclose(stream_);
    std::free(text_);
  }
  [[nodiscard]] std::FILE* stream() const { return stream_; }
  [[nodiscard]] std::string text() const {
    std::fflush(stream_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

struct ClientResult {
  int code = -1;
  std::string out;
  std::string err;
  std::string refusal;  ///< what the program would print behind "baton: "
};

inline ClientResult ran(const std::vector<std::string>& arguments) {
  const MemoryStream out;
  const MemoryStream err;
  ClientResult result;
  try {
    result.code = run_client(arguments, out.stream(), err.stream());
  } catch (const UsageError& error) {
    result = {2, "", "", error.what()};
  } catch (const StartError& error) {
    result = {1, "", "", error.what()};
  }
  result.out = out.text();
  result.err = err.text();
  return result;
}

inline ClientResult run(ControlServer& server, const std::vector<std::string>& arguments) {
  ClientResult result;
  std::atomic<bool> done = false;
  std::thread client([&] {
    result = ran(arguments);
    done = true;
  });
  try {
    server.run_until([&] { return done.load(); });
  } catch (...) {
    server.control.reset();  // so that the client ends too
    client.join();
    throw;
  }
  client.join();
  return result;
}

inline ClientResult run_with_path(ControlServer& server, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--control", server.path});
  return run(server, arguments);
}

inline boost::json::object sample_status() {
  return boost::json::parse(R"({"name":"127.0.0.1:1337","version":"0.1.0","pid":4100,"state":"serving","target":2,
    "ready":1,"generation":3,"listeners":[{"name":"server","address":"127.0.0.1:1337"},
    {"name":"api","address":"[::]:80"}],"workers":[
    {"worker":1,"pid":4242,"state":"ready","generation":3,"age_ms":12000,"rss":3145728,"note":"","open":17,
     "requests":1234},
    {"worker":2,"pid":null,"state":"backing_off","retry_in_ms":3200,"failures":4,"note":"exited with code 1"}]})")
      .as_object();
}

}  // namespace baton::test
