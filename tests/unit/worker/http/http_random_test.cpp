// Unit tests of the request parser with requests damaged at random, always the same ones: it never crashes, never uses
// more than it got, and comes to the same end however the bytes are split.
#include <array>
#include <random>

#include "tests/unit/worker/http/http_feed.hpp"
#include "worker/http.hpp"

namespace baton::http {
namespace {

constexpr std::array<std::string_view, 6> requests{
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "\r\nHEAD /a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: t\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\nUpgrade: h2c\r\nX: a\r\n b\r\n\r\n",
};

class Chance {
 public:
  explicit Chance(unsigned seed) : engine_(seed) {}
  // The distributions of <random> differ between libraries; the engine does not.
  std::size_t below(std::size_t end) { return engine_() % end; }

  std::string damaged() {
    std::string text(requests.at(below(requests.size())));
    for (std::size_t times = below(4); times > 0 && !text.empty(); --times) {
      const std::size_t at = below(text.size());
      switch (below(5)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.erase(at, 1 + below(4));
          break;
        case 2:
          text.insert(at, 1, "\r\n \t:;,\"0\0x"[below(11)]);
          break;
        case 3:
          text.insert(at, text.substr(at, below(12)));
          break;
        default:
          text.resize(at);
      }
    }
    return text;
  }

  std::vector<std::size_t> cuts(std::size_t size) {
    std::vector<std::size_t> at;
    for (std::size_t next = 1 + below(8); next < size; next += 1 + below(20)) at.push_back(next);
    return at;
  }

 private:
  std::mt19937 engine_;
};

/// What is left open for good. A parser may see some faults at once in the whole text but only at the header's end in
/// pieces: an end of header behind the text settles it.
Outcome settled(const std::string& text, const std::vector<std::size_t>& cuts) {
  return feed(text + "\r\n\r\n", cuts);
}

}  // namespace

TEST_CASE("damaged requests end alike, whole and in pieces") {
  Chance chance(20'240'229);
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = chance.damaged();
    const std::vector<std::size_t> cuts = chance.cuts(text.size());
    const Outcome whole = settled(text, {});
    const Outcome pieces = settled(text, cuts);
    if (whole == pieces) continue;
    CAPTURE(round, text, cuts);
    CHECK(pieces == whole);
  }
}

TEST_CASE("random bytes are never taken for a request, and never crash") {
  Chance chance(1);
  for (int round = 0; round < 5000; ++round) {
    std::string text(chance.below(200), '\0');
    for (char& c : text) c = static_cast<char>(chance.below(256));
    const Outcome outcome = feed(text, chance.cuts(text.size()));
    CAPTURE(round);
    CHECK(outcome.state != RequestParser::State::complete);
  }
}

}  // namespace baton::http
