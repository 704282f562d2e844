// Any process. Boost.JSON takes numbers that it can't write.
#include "common/json_text.hpp"

#include <algorithm>
#include <boost/json/error.hpp>
#include <boost/json/parse.hpp>
#include <cmath>

namespace baton {
namespace {

namespace json = boost::json;

bool is_finite(const json::value& value) {
  if (const double* const number = value.if_double()) return std::isfinite(*number);
  if (const auto* const array = value.if_array()) return std::all_of(array->begin(), array->end(), is_finite);
  const auto* const object = value.if_object();
  return object == nullptr ||
         std::all_of(object->begin(), object->end(), [](const auto& each) { return is_finite(each.value()); });
}

}  // namespace

json::value parse_json(std::string_view text, boost::system::error_code& error, std::size_t deepest) {
  json::parse_options options;
  options.max_depth = deepest;
  json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (!error && !is_finite(value)) error = json::error::exponent_overflow;
  return value;
}

}  // namespace baton
