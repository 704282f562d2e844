// Any process. Boost.JSON takes numbers that it can't write.
#include "common/json_text.hpp"

#include <algorithm>
#include <boost/json/error.hpp>
#include <boost/json/parse.hpp>
#include <cmath>

namespace baton {

namespace json = boost::json;

bool is_readable(const json::object& object, std::size_t deepest) {
  return deepest > 0 && std::all_of(object.begin(), object.end(),
                                    [=](const auto& each) { return is_readable(each.value(), deepest - 1); });
}

bool is_readable(const json::value& value, std::size_t deepest) {
  if (const double* const number = value.if_double()) return std::isfinite(*number);
  if (const auto* const object = value.if_object()) return is_readable(*object, deepest);
  const auto* const array = value.if_array();
  return array == nullptr || (deepest > 0 && std::all_of(array->begin(), array->end(), [=](const json::value& each) {
                                return is_readable(each, deepest - 1);
                              }));
}

json::value parse_json(std::string_view text, boost::system::error_code& error, std::size_t deepest) {
  json::parse_options options;
  options.max_depth = deepest;
  json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (!error && !is_readable(value, deepest)) error = json::error::exponent_overflow;
  return value;
}

}  // namespace baton
