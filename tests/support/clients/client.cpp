// Process and interop tests. The client.
#include "tests/support/clients/client.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/deadline.hpp"
#include "tests/support/clients/endpoint.hpp"

namespace baton::test {
namespace {

Fd connected_to(const std::string& address) {
  const Endpoint endpoint = endpoint_of(address);
  Fd socket = socket_for(endpoint);
  check(::connect(socket.get(), endpoint.get(), endpoint.size), "connect");
  return socket;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Response parse_header(std::string_view header) {
  Response response;
  REQUIRE((header.starts_with("HTTP/1.1 ") || header.starts_with("HTTP/1.0 ")));
  response.status = std::stoi(std::string(header.substr(9, 3)));
  for (auto end = header.find("\r\n"); end != std::string_view::npos; end = header.find("\r\n")) {
    header.remove_prefix(end + 2);
    const std::string line(header.substr(0, header.find("\r\n")));
    if (const auto colon = line.find(": "); colon != std::string::npos)
      response.fields[lower(line.substr(0, colon))] = line.substr(colon + 2);
  }
  return response;
}

}  // namespace

Connection::Connection(const std::string& address) : Connection(connected_to(address)) {}

Connection::Connection(Fd connected) : socket_(std::move(connected)) {
  const timeval limit{std::chrono::seconds(patience).count(), 0};
  check(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt");
  check(::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "setsockopt");
}

bool Connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count == -1) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// False at the end of file.
bool Connection::read_more() {
  std::array<char, 16 * 1024> bytes;
  const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (count == -1) FAIL("recv: " << std::strerror(errno) << ", after: " << received_);
  received_.append(bytes.data(), static_cast<std::size_t>(count));
  return count > 0;
}

Response Connection::read_response(bool to_head) {
  std::size_t header_end = 0;
  while ((header_end = received_.find("\r\n\r\n")) == std::string::npos) require_more();
  Response response = parse_header(std::string_view(received_).substr(0, header_end));
  received_.erase(0, header_end + 4);
  if (to_head || response.status / 100 == 1) return response;
  if (response.fields["transfer-encoding"] != "chunked") {
    response.body = take(std::stoul("0" + response.fields["content-length"]));
    return response;
  }
  for (std::size_t size = 1; size > 0;) {
    std::size_t line_end = 0;
    while ((line_end = received_.find("\r\n")) == std::string::npos) require_more();
    size = std::stoul("0" + take(line_end), nullptr, 16);
    take(2);
    response.body += take(size);
    take(2);
  }
  return response;
}

void Connection::require_more() {
  if (!read_more()) FAIL("the connection ended within an answer: \"" << received_ << '"');
}

std::string Connection::take(std::size_t count) {
  while (received_.size() < count) require_more();
  std::string taken = received_.substr(0, count);
  received_.erase(0, count);
  return taken;
}

std::string Connection::read_to_end() {
  while (read_more()) {
  }
  return std::move(received_);
}

bool Connection::is_readable_within(int milliseconds) const {
  pollfd wait{socket_.get(), POLLIN, 0};
  return ::poll(&wait, 1, milliseconds) == 1;
}

Response get(const std::string& address) {
  Connection connection(address);
  connection.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  Response response = connection.read_response();
  if (!connection.read_to_end().empty()) FAIL("something follows the last answer");
  return response;
}

pid_t pid_in(const Response& response) {
  constexpr std::string_view before = "pid is ";
  REQUIRE(response.status == 200);
  REQUIRE(response.body.starts_with(before));
  const std::string digits = response.body.substr(before.size());
  const pid_t pid = std::stoi(digits);
  REQUIRE(digits == std::to_string(pid) + "\n");
  return pid;
}

std::map<pid_t, int> shares(const std::string& address, int count) {
  std::map<pid_t, int> found;
  for (int i = 0; i < count; ++i) ++found[answering_pid(address)];
  return found;
}

std::set<pid_t> answering_pids(const std::string& address, std::size_t wanted) {
  const Deadline deadline;
  std::set<pid_t> seen;
  while (seen.size() < wanted && !deadline.has_passed()) seen.insert(answering_pid(address));
  return seen;
}

}  // namespace baton::test
