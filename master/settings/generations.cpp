// Master. Which configuration follows which.
#include "master/settings/generations.hpp"

#include <algorithm>
#include <utility>

namespace baton {

void Generations::begin(Pointer first) {
  last_number_ = first->number;
  current_ = std::move(first);
}

void Generations::replace(Pointer next) {
  last_number_ = next->number;
  previous_ = std::exchange(current_, std::move(next));
}

Generations::Pointer Generations::settle() {
  return std::exchange(previous_, nullptr);
}

Generations::Pointer Generations::roll_back() {
  return std::exchange(current_, std::exchange(previous_, nullptr));
}

std::set<std::shared_ptr<ListenerGroup>> Generations::listeners() const {
  std::set<std::shared_ptr<ListenerGroup>> found(current_->listeners.begin(), current_->listeners.end());
  if (previous_) found.insert(previous_->listeners.begin(), previous_->listeners.end());
  return found;
}

Generations::Groups listeners_without(const Generation& one, const Generation& other) {
  Generations::Groups found;
  for (const auto& each : one.listeners)
    if (std::find(other.listeners.begin(), other.listeners.end(), each) == other.listeners.end()) found.push_back(each);
  return found;
}

}  // namespace baton
