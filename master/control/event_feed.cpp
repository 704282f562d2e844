// Master. Events as lines of JSON.
#include "master/control/event_feed.hpp"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

namespace baton {

EventFeed::EventFeed(Events& events, std::string prefix, std::function<void()> on_event)
    : prefix_(std::move(prefix)),
      on_event_(std::move(on_event)),
      subscription_(events.subscribe([this](const boost::json::object& event) { add(event); })) {}

void EventFeed::add(const boost::json::object& event) {
  const boost::json::value* const key = event.if_contains("key");
  const bool is_meant =
      prefix_.empty() || (key != nullptr && key->is_string() && key->get_string().starts_with(prefix_));
  if (!is_meant) return;
  unsent_ += boost::json::serialize(event);
  unsent_ += '\n';
  on_event_();
}

std::string EventFeed::take_piece(bool is_chunked) {
  constexpr std::size_t most = std::size_t{64} * 1024;
  std::string piece = unsent_.substr(0, most);
  unsent_.erase(0, piece.size());
  return is_chunked ? fmt::format("{:x}\r\n{}\r\n", piece.size(), piece) : piece;
}

}  // namespace baton
