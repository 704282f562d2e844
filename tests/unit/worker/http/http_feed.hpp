// Unit tests. Feeds a request parser as a session does: what is not done with is offered again, with more behind it.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/catch/catch.hpp"
#include "worker/http.hpp"

namespace baton::http {

/// All that an answer depends on.
struct Outcome {
  RequestParser::State state = RequestParser::State::need_more;
  unsigned status = 0;
  std::size_t used = 0;  ///< bytes of the request, when it is complete
  bool keeps_alive = false;
  bool is_head = false;
  bool is_http_1_0 = false;
  bool expects_continue = false;

  bool operator==(const Outcome&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  constexpr const char* states[] = {"need_more", "complete", "failed"};
  return out << states[static_cast<int>(outcome.state)] << " status " << outcome.status << " used " << outcome.used
             << (outcome.keeps_alive ? " keeps_alive" : "") << (outcome.is_head ? " head" : "")
             << (outcome.is_http_1_0 ? " 1.0" : "") << (outcome.expects_continue ? " expect" : "");
}

constexpr Limits test_limits{.header = 1024, .body = 100};

/// `cuts` are offsets in `text`, in order.
inline Outcome feed(std::string_view text, const std::vector<std::size_t>& cuts, const Limits& limits = test_limits) {
  RequestParser parser(limits);
  std::string unused;
  Outcome outcome;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= cuts.size() && outcome.state == RequestParser::State::need_more; ++i) {
    const std::size_t end = i < cuts.size() ? cuts[i] : text.size();
    unused += text.substr(begin, end - begin);
    begin = end;
    const RequestParser::Step step = parser.feed(unused);
    REQUIRE(step.used <= unused.size());
    unused.erase(0, step.used);
    outcome.state = step.state;
    outcome.status = step.status;
  }
  if (outcome.state == RequestParser::State::complete) {
    outcome.used = begin - unused.size();
    outcome.keeps_alive = parser.keeps_alive();
    outcome.is_head = parser.is_head();
    outcome.is_http_1_0 = parser.is_http_1_0();
    outcome.expects_continue = parser.expects_continue();
  }
  return outcome;
}

inline std::vector<std::size_t> every_byte(std::string_view text) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < text.size(); ++i) cuts.push_back(i);
  return cuts;
}

/// In lines, as telnet sends them; or `shift` bytes later.
inline std::vector<std::size_t> every_line(std::string_view text, std::size_t shift = 0) {
  std::vector<std::size_t> cuts;
  for (auto at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    const std::size_t cut = at + 1 + shift;
    if (cut < text.size()) cuts.push_back(cut);
  }
  return cuts;
}

/// Feeds `text` whole, split in two at each byte, byte by byte and line by line: it must make no difference.
inline Outcome feed_all_ways(std::string_view text, const Limits& limits = test_limits) {
  CAPTURE(text);
  const Outcome whole = feed(text, {}, limits);
  for (std::size_t split = 1; split < text.size(); ++split) {
    CAPTURE(split);
    CHECK(feed(text, {split}, limits) == whole);
  }
  {
    INFO("byte by byte");
    CHECK(feed(text, every_byte(text), limits) == whole);
  }
  for (std::size_t shift = 0; shift < 4; ++shift) {
    INFO("line by line, and so many bytes of the next: " << shift);
    CHECK(feed(text, every_line(text, shift), limits) == whole);
  }
  return whole;
}

/// The status that refuses `text`, or 0 where it is complete; it must not be left open.
inline unsigned refusal(std::string_view text, const Limits& limits = test_limits) {
  CAPTURE(text);
  const Outcome outcome = feed_all_ways(text, limits);
  CHECK(outcome.state != RequestParser::State::need_more);
  return outcome.status;
}

}  // namespace baton::http
