// Interop tests, and scripts/bench. A worker with the library that adds to a number which all workers share, once it is
// sent {"adds":COUNT,"at_once":N}. It puts the sums that it got under "got/NUMBER", as far as a value has room for
// them, and tells the master how long it took.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value_from.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "worker/library.hpp"

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;

constexpr std::size_t most_kept = 5000;

struct Task {
  explicit Task(const asio::any_io_executor& executor) : done(executor, asio::steady_timer::time_point::max()) {}

  std::int64_t left = 0;
  std::int64_t at_work = 0;
  std::vector<std::int64_t> sums;
  asio::steady_timer done;  ///< cancelled by the last of those at work
};

awaitable<void> add(baton::Membership& member, Task& task) {
  const boost::json::object operation{{"baton", "add"}, {"key", "count"}};
  while (task.left-- > 0) {
    const auto answer = co_await member.async_ask(operation, use_awaitable);
    task.sums.push_back(answer.at("value").as_int64());
  }
  if (--task.at_work == 0) task.done.cancel();
}

awaitable<void> work(baton::Membership& member, std::int64_t adds, std::int64_t at_once) {
  const auto began = std::chrono::steady_clock::now();
  Task task(member.get_executor());
  task.left = adds;
  task.at_work = at_once;
  for (std::int64_t i = 0; i < at_once; ++i) asio::co_spawn(member.get_executor(), add(member, task), asio::detached);
  co_await task.done.async_wait(asio::as_tuple(use_awaitable));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  if (task.sums.size() <= most_kept) {
    boost::json::object operation{{"baton", "put"}, {"key", "got/" + std::to_string(member.number())}};
    operation["value"] = boost::json::value_from(task.sums);
    co_await member.async_ask(operation, use_awaitable);
  }
  const boost::json::object words{{"added", adds}, {"seconds", took.count()}};
  member.send(words);
}

awaitable<void> follow_master(baton::Membership& member) {
  for (;;) {
    auto [error, message] = co_await member.async_receive(asio::as_tuple(use_awaitable));
    if (error) co_return;
    const boost::json::value* const task = message.is_object() ? message.get_object().if_contains("message") : nullptr;
    if (task == nullptr || !task->is_object() || !task->get_object().contains("adds")) continue;
    co_await work(member, task->at("adds").as_int64(), task->at("at_once").as_int64());
  }
}

}  // namespace

int main() {
  asio::io_context context;
  baton::Membership member(context);
  asio::co_spawn(context, follow_master(member), asio::detached);
  member.ready();
  context.run();
}
