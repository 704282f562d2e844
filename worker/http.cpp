// Worker. The request parser's rules beyond Beast's, and the answers.
#include "worker/http.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>

namespace baton::http {

namespace beast = boost::beast;
using http_error = beast::http::error;
using beast::http::field;
using beast::http::verb;

namespace {

/// Whether a request line, or as much of it as has come, is right but for a version of HTTP that is not ours.
bool has_other_version(std::string_view line) {
  constexpr std::string_view form = "HTTP/d.d";
  const auto first = line.find(' ');
  const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return false;
  const std::string_view version = line.substr(second + 1);
  const bool may_be_ours =
      std::string_view("HTTP/1.0").starts_with(version) || std::string_view("HTTP/1.1").starts_with(version);
  if (may_be_ours || version.size() > form.size()) return false;
  for (std::size_t i = 0; i < version.size(); ++i) {
    const bool is_digit = version[i] >= '0' && version[i] <= '9';
    if (form[i] == 'd' ? !is_digit : version[i] != form[i]) return false;
  }
  return true;
}

}  // namespace

RequestParser::RequestParser(const Limits& limits) : max_header_(limits.header) {
  eager(true);
  header_limit(static_cast<std::uint32_t>(limits.header));
  body_limit(limits.body);
}

RequestParser::Step RequestParser::feed(std::string_view bytes) {
  std::size_t used = 0;
  if (!begun_) {
    // RFC 9112, 2.2: empty lines before a request are skipped.
    while (bytes.substr(used).starts_with("\r\n")) used += 2;
    if (const auto rest = bytes.substr(used); rest.empty() || rest == "\r") return {State::need_more, used};
    begun_ = true;
  }
  while (used < bytes.size()) {
    std::string_view rest = bytes.substr(used);
    if (!has_header()) {
      const std::size_t part = header_part(rest);
      if (refused_ != 0 && part == 0) return {State::failed, used, refused_};
      if (part == 0) break;
      rest = rest.substr(0, part);
      header_used_ += part;
      searched_ = 0;
    }
    // The end of a chunked body takes five bytes at least; Beast asserts that it is never shown fewer.
    constexpr std::size_t last_chunk_size = 5;
    if (has_header() && chunked() && rest.size() < last_chunk_size) break;
    error_code failure;
    const std::size_t count = put(boost::asio::const_buffer(rest.data(), rest.size()), failure);
    used += count;
    if (failure && failure != http_error::need_more) return {State::failed, used, status_of(failure, rest)};
    if (is_done()) return {State::complete, used};
    if (failure == http_error::need_more && has_header()) break;
  }
  return {State::need_more, used};
}

/// Beast is shown the request line as soon as it is whole, and then the fields as soon as they are. Shown less, it
/// would count its limit from the last whole field on, and find faults sooner or later as the bytes happen to be
/// split. Returns the size of that part in `bytes`; 0 where more is wanted, or when refused.
std::size_t RequestParser::header_part(std::string_view bytes) {
  const bool in_fields = header_used_ > 0;
  const std::size_t most = max_header_ - header_used_;
  std::size_t line = searched_ == 0 ? 0 : bytes.rfind('\n', searched_ - 1) + 1;  // npos + 1 is 0
  for (;;) {
    const std::size_t end = bytes.find('\n', std::max(line, searched_));
    const std::size_t seen = std::min(end == std::string_view::npos ? bytes.size() : end + 1, most);
    if (!in_fields) {
      // Not HTTP at all, but TLS for one: say so before a line end that may never come.
      const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\r' && c != '\n'; };
      if (std::any_of(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(seen), control)) {
        refuse(400);
        return 0;
      }
    }
    if (end == std::string_view::npos ? bytes.size() > most : end + 1 > most) {
      refuse(in_fields ? 431 : 414);
      return 0;
    }
    if (end == std::string_view::npos) {
      searched_ = bytes.size();
      return 0;
    }
    if (end == line || bytes[end - 1] != '\r') {
      refuse(400);  // RFC 9112, 2.2 lets us take a bare LF for a line end; that is where request smuggling begins
      return 0;
    }
    if (!in_fields || end == line + 1) return end + 1;
    line = end + 1;
  }
}

unsigned RequestParser::status_of(const error_code& failure, std::string_view bytes) const {
  if (refused_ != 0) return refused_;
  if (failure == http_error::body_limit) return 413;
  if (failure == http_error::bad_version && has_other_version(bytes.substr(0, bytes.find('\r')))) return 505;
  return 400;
}

void RequestParser::refuse(unsigned status) {
  if (refused_ == 0) refused_ = status;
}

void RequestParser::on_request_impl(verb method, string_view /*name*/, string_view /*target*/, int version,
                                    error_code& error) {
  version_ = version;
  head_ = method == verb::head;
  // A 200 to CONNECT would open a tunnel, and TRACE is to be echoed: we do neither.
  if (method == verb::unknown || method == verb::connect || method == verb::trace) refuse(501);
  error = {};
}

void RequestParser::on_response_impl(int /*status*/, string_view /*reason*/, int /*version*/, error_code& /*error*/) {}

void RequestParser::on_field_impl(field which, string_view /*name*/, string_view value, error_code& error) {
  error = {};
  if (in_trailer_) return;
  switch (which) {
    case field::host:
      if (std::exchange(has_host_, true)) refuse(400);
      break;
    case field::transfer_encoding:
      // RFC 9112, 6.1: an HTTP/1.0 message with it is of doubtful framing; codings that we can't undo are 501.
      if (version_ == 10)
        refuse(400);
      else if (!beast::iequals(value, "chunked"))
        refuse(501);
      break;
    case field::expect:
      if (!beast::iequals(value, "100-continue"))
        refuse(417);
      else
        expects_continue_ = version_ == 11;  // RFC 9110, 10.1.1: ignored in HTTP/1.0
      break;
    default:
      break;
  }
}

void RequestParser::on_header_impl(error_code& error) {
  in_trailer_ = true;
  error = {};
  if (version_ == 11 && !has_host_) refuse(400);
  if (refused_ != 0) error = http_error::bad_value;
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/, error_code& error) {
  error = {};
}

std::size_t RequestParser::on_body_impl(string_view bytes, error_code& error) {
  error = {};
  return bytes.size();
}

void RequestParser::on_chunk_header_impl(std::uint64_t /*size*/, string_view /*extensions*/, error_code& error) {
  error = {};
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t /*remaining*/, string_view bytes, error_code& error) {
  error = {};
  return bytes.size();
}

void RequestParser::on_finish_impl(error_code& error) {
  error = {};
}

Answers::Rendered Answers::render(std::string_view status, std::string_view connection, std::string_view body) const {
  Rendered made;
  made.text = fmt::format("HTTP/1.1 {}\r\nDate: {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{}\r\n", status,
                          date_, body.size(), connection);
  made.header_size = made.text.size();
  made.text += body;
  return made;
}

namespace {
constexpr std::string_view connection_close = "Connection: close\r\n";
constexpr std::string_view connection_keep = "Connection: keep-alive\r\n";
}  // namespace

void Answers::set_time(std::time_t now) {
  if (now == rendered_at_) return;
  rendered_at_ = now;
  date_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
  const std::string body = fmt::format("pid is {}\n", pid_);
  pid_answers_[static_cast<int>(After::keep)] = render("200 OK", "", body);
  pid_answers_[static_cast<int>(After::keep_1_0)] = render("200 OK", connection_keep, body);
  pid_answers_[static_cast<int>(After::close)] = render("200 OK", connection_close, body);
}

void Answers::append_pid(std::string& out, After after, bool head) const {
  const Rendered& answer = pid_answers_[static_cast<int>(after)];
  out.append(answer.text, 0, head ? answer.header_size : std::string::npos);
}

void Answers::append_error(std::string& out, unsigned status, bool head) const {
  const auto reason = beast::http::obsolete_reason(static_cast<beast::http::status>(status));
  const std::string line = fmt::format("{} {}", status, std::string_view(reason.data(), reason.size()));
  const Rendered answer = render(line, connection_close, line + "\n");
  out.append(answer.text, 0, head ? answer.header_size : std::string::npos);
}

}  // namespace baton::http
