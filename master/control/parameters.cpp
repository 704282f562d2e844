// Master. From the text of a query or a body to parameters.
#include "master/control/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <utility>

#include "common/error.hpp"
#include "common/json_text.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

namespace json = boost::json;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_plain_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// What is, or is part of, a key.
bool is_of_key(std::string_view parameter) {
  return parameter == "prefix" || parameter == "after";
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  if (text.find('%') == std::string_view::npos) return std::string(text);
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t shown = 60;
  std::string safe;
  for (const char c : text.substr(0, shown)) safe += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > shown ? safe + "…" : safe;
}

bool is_utf8(std::string_view text) {
  if (is_plain_ascii(text)) return true;
  json::error_code error;
  static_cast<void>(json::parse(json::serialize(json::string_view(text.data(), text.size())), error));
  return !error;
}

void Parameters::add(std::string name, std::string value) {
  if (!is_plain_ascii(name) || !(is_of_key(name) ? is_utf8(value) : is_plain_ascii(value)))
    throw UsageError(fmt::format("the parameter \"{}\" is not plain ASCII", excerpt(name)));
  const auto [at, is_new] = values_.emplace(std::move(name), std::move(value));
  if (!is_new) throw UsageError(fmt::format("the parameter \"{}\" is given twice", excerpt(at->first)));
}

void Parameters::add_query(std::string_view query) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decoded(pair.substr(0, equals));
    auto value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) throw UsageError("a % in the query is not followed by two hexadecimal digits");
    add(std::move(*name), std::move(*value));
  }
}

void Parameters::add_body(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
  json::error_code error;
  const json::value parsed = parse_json(body, error);
  if (error || !parsed.is_object()) throw UsageError("the body is not a JSON object (like {\"to\":8})");
  for (const auto& [key, value] : parsed.get_object()) {
    std::string text;
    if (value.is_string())
      text = std::string(value.get_string());
    else if (value.is_int64() || value.is_uint64())
      text = json::serialize(value);
    else if (value.is_bool())
      text = value.get_bool() ? "yes" : "no";
    else
      throw UsageError(fmt::format("\"{}\" in the body is no string and no whole number", excerpt(key)));
    add(std::string(key), std::move(text));
  }
}

std::optional<std::string> Parameters::take(std::string_view name) {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  std::string value = std::move(found->second);
  values_.erase(found);
  return value;
}

std::optional<std::uint64_t> Parameters::take_number(const std::string& name, std::uint64_t least) {
  const auto text = take(name);
  if (!text) return std::nullopt;
  return parse_count(*text, least, std::numeric_limits<std::int64_t>::max(), "a " + name);
}

bool Parameters::take_choice(const std::string& name, std::string_view usual) {
  const std::string given = take(name).value_or(std::string(usual));
  if (given == "yes" || given == "no") return given == "yes";
  throw UsageError(fmt::format("{} is yes or no, not \"{}\"", name, excerpt(given)));
}

std::optional<std::string> Parameters::left() const {
  if (values_.empty()) return std::nullopt;
  return values_.begin()->first;
}

}  // namespace baton
