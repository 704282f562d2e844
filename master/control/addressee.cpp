// Master and its clients. From a word to an addressee.
#include "master/control/addressee.hpp"

#include <charconv>

namespace baton {

std::optional<Addressee> parse_addressee(std::string_view text) {
  if (text == "all") return Addressee{Addressee::Who::all};
  if (text == "others") return Addressee{Addressee::Who::others};
  if (text == "master") return Addressee{Addressee::Who::master};
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) return std::nullopt;
  return Addressee{Addressee::Who::worker, number};
}

std::optional<Addressee> addressee_in(const boost::json::value& value) {
  if (value.is_string()) return parse_addressee(std::string_view(value.get_string()));
  boost::system::error_code error;
  const auto number = value.is_number() ? value.to_number<unsigned>(error) : 0;
  if (error || number == 0) return std::nullopt;
  return Addressee{Addressee::Who::worker, number};
}

}  // namespace baton
