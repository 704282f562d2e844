// Master. The parameters of a request to the control socket: those behind "?", percent-encoded, and the members of a
// JSON body, as texts by name. Pure: no system calls.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace baton {

/// "%2B" → "+", and "+" stays: a form would make it a space, but nobody asks for " 2" workers. Nothing where a % is not
/// followed by two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);

/// What a client wrote, fit for a JSON string and for a person's eyes.
std::string excerpt(std::string_view text);

bool is_utf8(std::string_view text);

/// The parameters of one request, each given once. Taken one by one; what is left is unknown.
class Parameters {
 public:
  /// "to=8&wait=no". Throws UsageError.
  void add_query(std::string_view query);
  /// A JSON object of texts, whole numbers and booleans, or nothing but space. Throws UsageError.
  void add_body(std::string_view body);

  /// Nothing where it is not given.
  std::optional<std::string> take(std::string_view name);
  /// A number, from `least` on. Throws UsageError.
  std::optional<std::uint64_t> take_number(const std::string& name, std::uint64_t least);
  /// Yes, or no; `usual` where it is not given. Throws UsageError.
  bool take_choice(const std::string& name, std::string_view usual);

  /// The name of one that nobody took.
  [[nodiscard]] std::optional<std::string> left() const;

 private:
  void add(std::string name, std::string value);

  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace baton
