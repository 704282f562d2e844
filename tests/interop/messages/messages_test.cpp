// Interop tests. Messages and shared state among workers of several languages in one cluster, and from outside.
#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <csignal>
#include <set>
#include <string>

#include "tests/interop/peer.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/programs/harness.hpp"
#include "tests/support/programs/programs.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/proc.hpp"

using namespace baton::test;

namespace {

/// Each knows of its channel but Python, which has none to speak of.
std::string by_number(const std::string& first, const std::string& second, const std::string& third) {
  return fmt::format("case $BATON_WORKER in {}) {} ;; {}) {} ;; *) {} ;; esac", "1", first, "2", second, third);
}

const std::string& node_worker() {
  static const std::string command =
      "NODE_CHANNEL_FD=$BATON_CHANNEL_FD exec node " + script("messages/sharing_worker.js");
  return command;
}

std::string exec(const std::string& program) {
  return "exec " + program;
}

/// One request to a control socket.
Response ask(const std::string& path, const std::string& line, const std::string& body = "") {
  Connection connection("unix:" + path);
  connection.send(fmt::format("{} HTTP/1.1\r\nHost: baton\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}", line,
                              body.size(), body));
  return connection.read_response();
}

boost::json::object json_of(const Response& response) {
  return boost::json::parse(response.body).as_object();
}

/// What the worker that counted under that number got.
std::vector<std::int64_t> sums_of(const Baton& baton, unsigned number) {
  const Response response = ask(baton.control(), fmt::format("GET /state/got/{}", number));
  if (response.status != 200) return {};
  std::vector<std::int64_t> sums;
  for (const auto& each : json_of(response).at("value").as_array()) sums.push_back(each.as_int64());
  return sums;
}

/// The values of the number that is counted, in the order of its changes, as a client that watches has heard them.
class Watcher {
 public:
  explicit Watcher(const Baton& baton)
      : file_(directory_ / "changes"),
        curl_({{"curl", "-sN", "-o", file_, "--unix-socket", baton.control(),
                "http://baton/state?watch=yes&prefix=count"},
               {},
               {},
               {}}) {}

  [[nodiscard]] std::vector<std::int64_t> counts() const {
    std::vector<std::int64_t> found;
    std::istringstream lines(std::filesystem::exists(file_) ? read_file(file_) : "");
    for (std::string line; std::getline(lines, line) && !lines.eof();)
      found.push_back(boost::json::parse(line).at("value").as_int64());
    return found;
  }
  /// Hears, and not only was started.
  void begin(const Baton& baton) {
    REQUIRE(becomes_true([&] {
      ask(baton.control(), "PUT /state/count", "0");
      return !counts().empty();
    }));
    began_ = counts().size();
    REQUIRE(becomes_true([&] { return counts().back() == 0; }));
  }

 private:
  Directory directory_;
  std::string file_;
  Program curl_;
  std::size_t began_ = 0;
};

std::vector<std::int64_t> from_one_to(std::int64_t last) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(last));
  std::iota(all.begin(), all.end(), 1);
  return all;
}

std::vector<std::int64_t> without_zeros(std::vector<std::int64_t> counts) {
  std::erase(counts, 0);
  return counts;
}

}  // namespace

TEST_CASE("a Node, a C++ and a Python worker in one cluster talk to each other, and share what they remember") {
  if (!has_node()) return;
  const std::string command = by_number(node_worker(), exec(programs::example()),
                                        exec("/usr/bin/env python3 " + script("messages/sharing_worker.py")));
  Baton baton({"-w", "3", "--dialect", "listen-fds", "--", "sh", "-c", command});
  baton.workers();
  const std::map<int, pid_t> pids = baton.latest();
  baton.wait_for("python: watches");
  CHECK(ask(baton.control(), "PUT /state/go", "1").status == 200);
  CHECK(baton.wait_for("python: asked 2:").find(fmt::format(R"("pid": {}, "heard")", pids.at(2))) != std::string::npos);
  CHECK(baton.wait_for("python: told 1:").find("1 worker got it") != std::string::npos);
  CHECK(baton.wait_for("python: scale:").find("scale: 403 stop: 403") != std::string::npos);
  baton.wait_for(R"(says {"heard":{"from":"python"},"from":"master"})");
  baton.wait_for("python: add:");
  CHECK(json_of(ask(baton.control(), "GET /state/python")).at("value").at("list").at(1) == "ä");
  CHECK(json_of(ask(baton.control(), "POST /state/sum?add=1")).at("value") == 6);

  Program send({{programs::baton(), "send", "--control", baton.control(), "1", R"({"ask":2})"}, {}, {}, {}});
  CHECK(send.wait_for_end() == "code 0");
  CHECK(send.output() == "1 worker got it\n");
  const std::string asked = baton.wait_for(R"(says {"asked":)");
  CHECK(asked.find(R"("baton":"reply")") != std::string::npos);
  CHECK(asked.find(fmt::format(R"("pid":{})", pids.at(2))) != std::string::npos);
  CHECK(asked.find(R"("message":"from node")") != std::string::npos);

  Program request(
      {{programs::baton(), "send", "--control", baton.control(), "1", "{}", "--timeout", "5s"}, {}, {}, {}});
  CHECK(request.wait_for_end() == "code 0");
  CHECK(request.output() == fmt::format(R"({{"node":{},"heard":{{}}}})", pids.at(1)) + "\n");
  CHECK(json_of(ask(baton.control(), "POST /send", R"({"to":3,"message":1})"))
            .at("message")
            .as_string()
            .find("takes no messages") != std::string::npos);
}

TEST_CASE("10,000 additions by 8 workers of two languages at once give each sum once, and a watch sees them in order") {
  if (!has_node()) return;
  const std::string command =
      by_number(exec(programs::adding_worker()), exec(programs::adding_worker()), node_worker());
  Baton baton({"-w", "8", "--dialect", "listen-fds", "--ready", "message", "--", "sh", "-c",
               by_number(exec(programs::adding_worker()), exec(programs::adding_worker()), node_worker())});
  baton.workers();
  Watcher watcher(baton);
  watcher.begin(baton);
  CHECK(ask(baton.control(), "POST /send", R"({"to":"all","message":{"adds":1250,"at_once":16}})").status == 200);
  baton.program().wait_for(R"(says {"added":1250)", 8);
  std::multiset<std::int64_t> sums;
  for (unsigned number = 1; number <= 8; ++number)
    for (const std::int64_t each : sums_of(baton, number)) sums.insert(each);
  const std::vector<std::int64_t> all = from_one_to(10'000);
  CHECK(std::vector<std::int64_t>(sums.begin(), sums.end()) == all);
  CHECK(becomes_true([&] { return watcher.counts().back() == 10'000; }));
  CHECK(without_zeros(watcher.counts()) == all);
}

TEST_CASE("a worker that is killed while it counts leaves the state whole, and the others go on") {
  if (!has_node()) return;
  Baton baton({"-w", "3", "--dialect", "listen-fds", "--ready", "message", "--", "sh", "-c",
               by_number(exec(programs::adding_worker()), node_worker(), node_worker())});
  baton.workers();
  Watcher watcher(baton);
  watcher.begin(baton);
  const Worker victim{1, baton.latest().at(1)};
  CHECK(ask(baton.control(), "POST /send", R"({"to":1,"message":{"adds":1000000,"at_once":16}})").status == 200);
  CHECK(ask(baton.control(), "POST /send", R"({"to":"all","message":{"adds":1000,"at_once":4}})").status == 200);
  REQUIRE(becomes_true([&] { return watcher.counts().back() > 500; }));
  signal_process(open_pidfd(victim.pid), SIGKILL);
  baton.wait_for_successor(victim);
  baton.program().wait_for(R"(says {"added":1000)", 2);
  const std::int64_t count = json_of(ask(baton.control(), "GET /state/count")).at("value").as_int64();
  std::set<std::int64_t> sums;
  for (const unsigned number : {2U, 3U})
    for (const std::int64_t each : sums_of(baton, number)) sums.insert(each);
  CHECK(sums.size() == 2000);
  CHECK(*sums.rbegin() <= count);
  CHECK(becomes_true([&] { return watcher.counts().back() == count; }));
  CHECK(without_zeros(watcher.counts()) == from_one_to(count));
}
