// Master. What a worker or a client wants of the shared state: one request in whatever form it came, and its answer as
// the members of a JSON object. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "master/state/store.hpp"

namespace baton::state {

struct Operation {
  enum class Verb : std::uint8_t { get, put, remove, add, list };

  Verb verb = Verb::get;
  std::string key = {};    ///< of a list: the prefix
  std::string value = {};  ///< JSON, of a put
  std::int64_t amount = 1;
  Condition condition = {};
  std::optional<std::chrono::milliseconds> time_to_live = {};
  std::string after = {};  ///< of a list: the last key of the page before
  std::size_t most = most_listed;

  static constexpr std::size_t most_listed = 1000;
};

/// Of a message whose verb this is; nothing where it is none of the store's. Throws Refusal (malformed).
std::optional<Operation> operation_of(std::string_view verb, const boost::json::object& message);

/// Puts the answer's members, without braces, behind `answer`. Throws Refusal, and has changed nothing then.
void carry_out(Store& store, const Operation& operation, Moment now, std::string& answer);

/// The members that tell of a change, without braces.
std::string describe(const Change& change);
/// The same of a refusal: "code", "error", and of a conflict "version".
std::string describe(const Refusal& refusal);

}  // namespace baton::state
