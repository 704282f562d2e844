// Worker. What a program and its master write to each other on their channel, for programs with an event loop of their
// own: knows the protocol, answers what is to be answered by itself, and passes on what is the program's business.
// Knows no event loop. Owns the channel.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/channel.hpp"
#include "common/fd.hpp"
#include "common/protocol.hpp"
#include "common/scoreboard.hpp"
#include "worker/inheritance.hpp"

namespace baton {

class MasterChannel {
 public:
  /// Greets the master: one that is baton answers with a place on its scoreboard, to which the counters then go.
  /// Throws std::system_error.
  MasterChannel(Fd channel, Counters& counters);

  [[nodiscard]] const Fd& socket() const { return channel_.socket(); }

  /// What came.
  struct News {
    std::vector<GivenListener> listeners;
    std::vector<Fd> connections;
    std::vector<boost::json::value> messages;
    std::vector<boost::json::object> answers;  ///< to what was asked of the master with an id
    std::vector<std::string> faults;           ///< what the master did wrong, a sentence each
    bool has_ended = false;                    ///< the channel: nothing follows
  };
  /// Reads without blocking, and with a bound. To be called when the socket is readable.
  [[nodiscard]] News read();

  void say_ready();
  void say_alive() { reply(protocol::alive_line()); }
  void ask_to_retire(std::string_view why) { reply(protocol::retire_line(why)); }
  void set_draining() { phase_ = protocol::Phase::draining; }
  /// How many of the connections that came are not closed yet, where the master wants to know.
  void tell_open(std::size_t open);

  /// A message of the program's.
  Channel::Sent send(std::string_view line) { return channel_.send(line); }
  /// The same, but it may go out with later ones: by flush().
  Channel::Sent add(std::string_view line) { return channel_.add(line); }
  Channel::Sent flush() { return channel_.flush(); }
  [[nodiscard]] bool has_unsent() const { return channel_.has_unsent(); }

 private:
  void take(Frame frame, News& news);
  void take_handle(protocol::Message message, std::optional<Fd> handle, News& news);
  static void take_bus_message(protocol::Message message, News& news);
  void take_connections(const protocol::Message& message, std::vector<Fd> connections, News& news);
  void take_scoreboard(std::optional<std::uint64_t> row, const std::optional<Fd>& memory, News& news);
  void reply(std::string_view line) { static_cast<void>(channel_.send(line)); }

  Channel channel_;
  Counters& counters_;
  protocol::Phase phase_ = protocol::Phase::starting;
  bool awaits_scoreboard_ = true;
  bool tells_closes_ = false;
  std::size_t handed_ = 0;  ///< connections that the master believes open
};

}  // namespace baton
