// Unit tests. What Catch2's matchers would do, in a form that versions 2 and 3 share.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "tests/support/catch/catch.hpp"

namespace baton::test {

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// The text of the `Error` that `run` throws; anything else fails the test.
template <class Error, class Run>
std::string message_of(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& other) {
    FAIL("another error was thrown: " << other.what());
  }
  FAIL("nothing was thrown");
  return {};
}

inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace baton::test
