// Master and its clients. Whom a message is for.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baton {

struct Addressee {
  enum class Who : std::uint8_t {
    worker,
    all,     ///< every worker
    others,  ///< every worker but the sender
    master,
  };

  Who who = Who::worker;
  unsigned number = 0;  ///< of the worker, from 1
};

/// "2", "all", "others", "master". Nothing: it is none of these.
std::optional<Addressee> parse_addressee(std::string_view text);
/// The same, or a number.
std::optional<Addressee> addressee_in(const boost::json::value& value);

}  // namespace baton
