// Master. What happens to the workers, told to whoever listens: the clients of `GET /events`. Single-threaded.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace baton {

class Events {
 public:
  using Handler = std::function<void(const boost::json::object&)>;

  /// Hears every event until it is destroyed. Outlives neither the Events nor what its function refers to.
  class Subscription {
   public:
    Subscription(Events& events, Handler handler);
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;
    ~Subscription();

   private:
    friend class Events;
    Events& events_;
    Handler handler_;
  };

  Events() = default;
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  ~Events() = default;

  [[nodiscard]] std::unique_ptr<Subscription> subscribe(Handler handler);

  [[nodiscard]] bool has_subscribers() const { return !subscriptions_.empty(); }

  /// Adds `time` and `event` to the fields. A subscriber may end subscriptions, its own too, while it hears.
  void publish(std::string_view name, const boost::json::object& fields);
  /// The same with a sentence for people, as `message`.
  void tell(std::string_view name, const std::string& message, boost::json::object fields = {});

 private:
  std::list<Subscription*> subscriptions_;
  std::list<Subscription*>::iterator next_ = subscriptions_.end();  ///< to be told next, while publishing
};

}  // namespace baton
