// Any program that links the library: something asked of the master, and the operation that waits for the answer.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/object.hpp>
#include <boost/system/error_code.hpp>
#include <utility>

namespace baton {

class Question {
 public:
  using Signature = void(boost::system::error_code, boost::json::object);

  Question() = default;
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  virtual ~Question() = default;

  /// Runs whoever waits, before it returns where their executor allows it: from the loop's own handlers only, ready for
  /// what they may throw. Once, and not after fail().
  virtual void answer(boost::json::object answer) = 0;
  /// The same behind whatever runs now, so from anywhere. Once.
  virtual void fail(boost::system::error_code error) = 0;
};

/// Asked by an asynchronous operation. Keeps its executor's loop running.
template <class Handler>
class AskedQuestion final : public Question {
 public:
  AskedQuestion(Handler handler, const boost::asio::any_io_executor& executor)
      : handler_(std::move(handler)), work_(boost::asio::get_associated_executor(handler_, executor)) {}

  void answer(boost::json::object answer) override {
    const auto executor = work_.get_executor();
    boost::asio::dispatch(executor, take({}, std::move(answer)));
  }

  void fail(boost::system::error_code error) override {
    const auto executor = work_.get_executor();
    boost::asio::post(executor, take(error, {}));
  }

 private:
  using Executor = boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>;

  auto take(boost::system::error_code error, boost::json::object answer) {
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) slot.clear();
    return [handler = std::move(handler_), error, answer = std::move(answer)]() mutable {
      std::move(handler)(error, std::move(answer));
    };
  }

  Handler handler_;
  boost::asio::executor_work_guard<Executor> work_;
};

}  // namespace baton
