// Any program that links the library: what is asked of the master, the operations that wait for the answers, and which
// answer is whose.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/json_text.hpp"
#include "common/protocol.hpp"

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

/// The question's line as far as the number of its id. That is added to the text, since one more member would have the
/// object's memory laid out anew. Empty: JSON can't say it, or the master would not read it.
inline std::string unnumbered(const boost::json::object& question) {
  if (!is_readable(question, protocol::deepest)) return {};
  if (question.contains("id")) {
    boost::json::object others = question;
    others.erase("id");
    return unnumbered(others);
  }
  std::string line = boost::json::serialize(question);
  line.pop_back();
  line += question.empty() ? "\"id\":" : ",\"id\":";
  return line;
}

/// Those under way.
class Questions {
 public:
  [[nodiscard]] bool empty() const { return by_id_.empty(); }
  [[nodiscard]] std::int64_t next_id() { return ++last_id_; }
  void add(std::int64_t id, std::unique_ptr<Question> question) { by_id_[id] = std::move(question); }

  /// Nothing where it is not under way any more.
  [[nodiscard]] std::unique_ptr<Question> take(std::int64_t id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return nullptr;
    std::unique_ptr<Question> question = std::move(found->second);
    by_id_.erase(found);
    return question;
  }

  /// An answer that nobody waits for any more is dropped. Throws what whoever asked throws.
  void settle(boost::json::object answer) {
    const boost::json::value& id = answer.at("id");
    const auto question = id.is_int64() ? take(id.get_int64()) : nullptr;
    if (question) question->answer(std::move(answer));
  }

  /// All of them.
  void fail(boost::system::error_code error) {
    for (const auto& [id, question] : std::exchange(by_id_, {})) question->fail(error);
  }

 private:
  std::unordered_map<std::int64_t, std::unique_ptr<Question>> by_id_;
  std::int64_t last_id_ = 0;
};

}  // namespace baton
