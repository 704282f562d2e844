// Master. Messages between workers, the master and clients, and the shared state as workers ask for it over their
// channels: docs/messages.md. Knows what is said; who there is to hear it, the Transport knows.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "master/control/addressee.hpp"
#include "master/control/commands.hpp"
#include "master/messages/open_requests.hpp"
#include "master/state/operation.hpp"
#include "master/state/store.hpp"

namespace baton {

class MessageBus {
 public:
  /// Bytes of JSON in one message.
  static constexpr std::size_t longest_message = std::size_t{1} << 20;
  static constexpr std::size_t most_watches = 64;  ///< of one worker

  class Transport {
   public:
    enum class Delivery : std::uint8_t {
      done,
      full,  ///< it does not read: what waits for it is at its limit
      gone,
      deaf,  ///< it takes no messages: the embedded worker, or a program that has never said a word
    };

    virtual Delivery deliver(int id, std::string_view line) = 0;
    /// The process that holds that number; who is ready before who is not, and the younger before the older.
    [[nodiscard]] virtual std::optional<int> holder(unsigned number) const = 0;
    /// One process for each number.
    [[nodiscard]] virtual std::vector<int> holders() const = 0;
    [[nodiscard]] virtual unsigned number_of(int id) const = 0;
    /// What a worker says to the master.
    virtual void hear(int id, const boost::json::value& message) = 0;

   protected:
    Transport() = default;
    Transport(const Transport&) = default;
    Transport& operator=(const Transport&) = default;
    ~Transport() = default;
  };

  MessageBus(Transport& transport, state::Store& store) : transport_(transport), store_(store) {}

  /// From a worker: an object with a member "baton". What can't be done is answered with an error.
  void take(int sender, const boost::json::object& said, TimePoint now, state::Moment today);

  /// From outside. With a time limit one worker is asked, and `done` gets its reply. Throws UsageError.
  void send(const Addressee& to, const boost::json::value& message, std::optional<std::chrono::milliseconds> time_limit,
            TimePoint now, const Done& done);

  /// To those who watch.
  void tell(const state::Change& change);
  /// That process is no more.
  void forget(int id);
  /// There is room again for one that did not read.
  void make_up(int id);
  void expire(TimePoint now) { requests_.expire(now); }
  [[nodiscard]] std::optional<TimePoint> deadline() const { return requests_.deadline(); }

 private:
  using Id = std::optional<std::int64_t>;

  void pass_on(int sender, const boost::json::object& said, TimePoint now);
  void request(int sender, const Addressee& to, std::string_view message, const boost::json::object& said, Id id,
               TimePoint now);
  void take_reply(int sender, const boost::json::object& said);
  void watch(int sender, std::string_view verb, const boost::json::object& said, Id id);
  void ask_store(int sender, const state::Operation& operation, Id id, state::Moment today);
  void refuse(int sender, Id id, std::string_view code, std::string_view why);
  void reply(int sender, Id id, std::string_view kind, std::string_view members);

  struct Outcomes {
    unsigned delivered = 0;
    std::string failures;  ///< a sentence each
    std::string code;      ///< of the first
  };
  Outcomes deliver(const std::vector<int>& ids, std::string_view line);
  [[nodiscard]] std::vector<int> recipients(const Addressee& to, std::optional<int> sender) const;
  static std::string_view code_of(Transport::Delivery delivery);
  [[nodiscard]] std::string failure(int id, Transport::Delivery delivery) const;

  Transport& transport_;
  state::Store& store_;
  OpenRequests requests_;
  std::map<int, std::set<std::string>> watches_;  ///< prefixes, by process
  std::set<int> behind_;                          ///< whose watches have ended, because they did not read
};

}  // namespace baton
