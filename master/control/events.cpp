// Master. The list of subscribers.
#include "master/control/events.hpp"

#include <utility>

#include "common/log.hpp"

namespace baton {

Events::Subscription::Subscription(Events& events, Handler handler) : events_(events), handler_(std::move(handler)) {
  events_.subscriptions_.push_back(this);
}

Events::Subscription::~Subscription() {
  if (events_.next_ != events_.subscriptions_.end() && *events_.next_ == this) ++events_.next_;
  events_.subscriptions_.remove(this);
}

std::unique_ptr<Events::Subscription> Events::subscribe(Handler handler) {
  return std::make_unique<Subscription>(*this, std::move(handler));
}

void Events::publish(std::string_view name, const boost::json::object& fields) {
  if (!has_subscribers()) return;
  boost::json::object event{{"time", log::timestamp_now()}, {"event", name}};
  for (const auto& [key, value] : fields) event[key] = value;
  next_ = subscriptions_.begin();
  while (next_ != subscriptions_.end()) (*next_++)->handler_(event);
}

void Events::tell(std::string_view name, const std::string& message, boost::json::object fields) {
  fields["message"] = message;
  publish(name, fields);
}

}  // namespace baton
