// Any process. JSON that came from elsewhere.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <string_view>

namespace baton {

/// As boost::json::parse(), down to so many levels. A number that no double holds (1e400) is an error as well
/// (exponent_overflow): it would be infinite, which goes out again as something that is no JSON.
boost::json::value parse_json(std::string_view text, boost::system::error_code& error, std::size_t deepest = 32);

/// Whether parse_json() would take it once it has been written: it nests no deeper, and all its numbers are finite.
bool is_readable(const boost::json::value& value, std::size_t deepest);
bool is_readable(const boost::json::object& object, std::size_t deepest);

}  // namespace baton
