// Master. Bytes, lines, and their form.
#include "master/output/worker_output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>

#include "common/error.hpp"

namespace baton {
namespace {

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// Where a line that is too long is cut: not within a character, if it has such.
std::size_t cut_of(std::string_view text) {
  constexpr std::size_t longest_character = 4;
  for (std::size_t at = longest_line; at > longest_line - longest_character; --at)
    if (!is_continuation(text[at])) return at;
  return longest_line;
}

/// The length of the UTF-8 character that `text` begins with; 0 where it begins with none.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : 4;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t at = 1; at < length; ++at)
    if (!is_continuation(text[at])) return 0;
  const bool is_overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool is_none = (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);
  return is_overlong || is_none ? 0 : length;
}

std::string as_utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = character(text);
    clean += length == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, length);  // U+FFFD
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

}  // namespace

void LineSplitter::feed(std::string_view bytes, const TakeLine& take) {
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    begun_ += bytes.substr(0, newline);
    while (begun_.size() > longest_line) {
      const std::size_t cut = cut_of(begun_);
      take(std::string_view(begun_).substr(0, cut));
      begun_.erase(0, cut);
    }
    if (newline == std::string_view::npos) return;
    take(begun_);
    begun_.clear();
    bytes.remove_prefix(newline + 1);
  }
}

void LineSplitter::finish(const TakeLine& take) {
  if (!begun_.empty()) take(begun_);
  begun_.clear();
}

std::string render_line(log::Format format, const Author& author, std::string_view line) {
  if (format == log::Format::text) return fmt::format("worker {} pid {} | {}\n", author.number, author.pid, line);
  const boost::json::object object{{"time", log::timestamp_now()},
                                   {"role", "worker"},
                                   {"worker", author.number},
                                   {"pid", author.pid},
                                   {"stream", author.stream == Stream::output ? "stdout" : "stderr"},
                                   {"message", as_utf8(line)}};
  return boost::json::serialize(object) + '\n';
}

std::pair<Fd, Fd> make_output_pipe() {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
  std::pair<Fd, Fd> pipe{Fd{ends[0]}, Fd{ends[1]}};
  set_nonblocking(pipe.first);  // the other end is another open file, and blocks as programs expect
  return pipe;
}

bool OutputEnd::read(std::size_t most, const TakeLine& take) {
  std::array<char, std::size_t{16} << 10> bytes;
  for (std::size_t done = 0; done < most;) {
    const ssize_t count = ::read(pipe.get(), bytes.data(), bytes.size());
    if (count == -1 && errno == EINTR) continue;
    if (count == -1) return errno == EAGAIN;
    if (count == 0) return false;
    lines.feed({bytes.data(), static_cast<std::size_t>(count)}, take);
    done += static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace baton
