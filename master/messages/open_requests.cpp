// Master. The list of those who wait.
#include "master/messages/open_requests.hpp"

#include <utility>
#include <vector>

namespace baton {

std::optional<std::uint64_t> OpenRequests::open(int asker, int asked, TimePoint until, Done done) {
  std::size_t& count = open_[asker];
  if (count >= most_of_one) return std::nullopt;
  ++count;
  requests_.emplace(++last_, Request{asker, asked, until, std::move(done)});
  deadlines_.emplace(until, last_);
  return last_;
}

OpenRequests::Done OpenRequests::take(Requests::iterator at) {
  Request request = std::move(at->second);
  deadlines_.erase({request.until, at->first});
  requests_.erase(at);
  const auto counted = open_.find(request.asker);
  if (--counted->second == 0) open_.erase(counted);
  return std::move(request.done);
}

/// Out of the list first: whoever is told may ask again.
void OpenRequests::end(Requests::iterator at, const Reply& reply) {
  take(at)(reply);
}

void OpenRequests::drop(std::uint64_t number) {
  if (const auto found = requests_.find(number); found != requests_.end()) take(found);
}

bool OpenRequests::answer(int asked, std::uint64_t number, std::string message) {
  const auto found = requests_.find(number);
  if (found == requests_.end() || found->second.asked != asked) return false;
  end(found, {std::move(message), {}});
  return true;
}

void OpenRequests::forget(int id) {
  std::vector<std::uint64_t> concerned;
  for (const auto& [number, request] : requests_)
    if (request.asker == id || request.asked == id) concerned.push_back(number);
  for (const std::uint64_t each : concerned) {
    const auto found = requests_.find(each);
    if (found == requests_.end()) continue;
    if (found->second.asker == id)
      take(found);
    else
      end(found, {std::nullopt, "gone"});
  }
}

void OpenRequests::expire(TimePoint now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now)
    end(requests_.find(deadlines_.begin()->second), {std::nullopt, "late"});
}

std::optional<TimePoint> OpenRequests::deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

}  // namespace baton
