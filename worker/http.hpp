// Worker. HTTP/1.0 and 1.1 without any input or output: a request parser on Boost.Beast's, and the answers as bytes.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace baton::http {

struct Limits {
  std::size_t header;  ///< bytes, at most 4 GiB
  std::uint64_t body;  ///< bytes
};

/// Takes one request apart, in as many pieces as it comes, and keeps nothing of it but what the answer depends on.
class RequestParser final : private boost::beast::http::basic_parser<true> {
 public:
  enum class State : std::uint8_t { need_more, complete, failed };
  struct Step {
    State state;
    std::size_t used;     ///< bytes of the input that are done with; the rest is wanted again, with more behind it
    unsigned status = 0;  ///< when failed: the answer's status
  };

  explicit RequestParser(const Limits& limits);
  RequestParser(RequestParser&&) = default;
  RequestParser& operator=(RequestParser&&) = delete;
  ~RequestParser() override = default;

  Step feed(std::string_view bytes);

  /// Whether any of the request has come (empty lines before it don't count).
  [[nodiscard]] bool has_begun() const { return begun_; }
  [[nodiscard]] bool has_header() const { return is_header_done(); }

  // After the header:
  [[nodiscard]] bool keeps_alive() const { return keep_alive(); }
  [[nodiscard]] bool is_head() const { return head_; }
  [[nodiscard]] bool is_http_1_0() const { return version_ == 10; }
  [[nodiscard]] bool expects_continue() const { return expects_continue_; }

 private:
  using string_view = boost::beast::string_view;
  using error_code = boost::beast::error_code;

  void on_request_impl(boost::beast::http::verb method, string_view name, string_view target, int version,
                       error_code& error) override;
  void on_response_impl(int status, string_view reason, int version, error_code& error) override;
  void on_field_impl(boost::beast::http::field which, string_view name, string_view value, error_code& error) override;
  void on_header_impl(error_code& error) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& error) override;
  std::size_t on_body_impl(string_view bytes, error_code& error) override;
  void on_chunk_header_impl(std::uint64_t size, string_view extensions, error_code& error) override;
  std::size_t on_chunk_body_impl(std::uint64_t remaining, string_view bytes, error_code& error) override;
  void on_finish_impl(error_code& error) override;

  [[nodiscard]] std::size_t header_part(std::string_view bytes);
  void refuse(unsigned status);
  [[nodiscard]] unsigned status_of(const error_code& failure, std::string_view bytes) const;

  std::size_t max_header_;
  std::size_t header_used_ = 0;  ///< bytes of the header that Beast has
  std::size_t searched_ = 0;     ///< bytes behind those that were looked at in vain
  bool begun_ = false;
  unsigned refused_ = 0;
  int version_ = 0;  ///< 10 or 11 once the request line is read
  bool head_ = false;
  bool has_host_ = false;
  bool expects_continue_ = false;
  bool in_trailer_ = false;
};

/// How the connection goes on after an answer, as its header says.
enum class After : std::uint8_t {
  keep,      ///< HTTP/1.1: nothing need be said
  keep_1_0,  ///< HTTP/1.0: said
  close,
};

/// The answers of one worker, rendered once a second (for their Date) and then only copied.
class Answers {
 public:
  explicit Answers(int pid) : pid_(pid) {}

  /// Must be called before the first answer, and then as often as one likes.
  void set_time(std::time_t now);

  void append_pid(std::string& out, After after, bool head) const;
  static void append_continue(std::string& out) { out += "HTTP/1.1 100 Continue\r\n\r\n"; }
  /// An error closes the connection, for nobody knows where the next request would begin.
  void append_error(std::string& out, unsigned status, bool head) const;

 private:
  struct Rendered {
    std::string text;
    std::size_t header_size = 0;
  };
  [[nodiscard]] Rendered render(std::string_view status, std::string_view connection, std::string_view body) const;

  int pid_;
  std::time_t rendered_at_ = 0;
  std::string date_;
  Rendered pid_answers_[3];
};

}  // namespace baton::http
