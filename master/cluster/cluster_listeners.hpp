// Master. Where workers of the dialect `node-cluster` ask for listeners: which listener a program's listen() means, who
// holds which, and which of them nobody wants any more. Owns the listeners that programs have asked for: they belong to
// no configuration, so that they outlive reloads. Sends nothing: the conversation is ClusterPrimary's.
//
// What is asked for is known by its address alone, and by Node's index besides where any port will do. So all workers
// have one listener for it, whichever options they ask with: those of the first count.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/cluster_messages.hpp"
#include "master/settings/generation.hpp"

namespace baton {

class ClusterListeners {
 public:
  using Group = std::shared_ptr<ListenerGroup>;

  /// `alarm` outlives it.
  explicit ClusterListeners(ListenerAlarm& alarm) : alarm_(alarm) {}

  /// Who asks.
  struct Asker {
    int id = 0;           ///< of its process
    unsigned number = 0;  ///< of its slot
    const Generation& generation;
  };

  struct Answer {
    int error = 0;                 ///< an errno; 0: it has what it asked for
    std::string remark;            ///< why not, or what is odd about it; empty: nothing
    std::shared_ptr<Vault> vault;  ///< whose listener it is to have
    std::string key;               ///< under which the worker knows it
    boost::json::value data;       ///< that the first one gave for the others
    bool is_new = false;           ///< it was bound for this
  };
  /// `refuses`: clients are to be refused there until a worker is ready. Throws std::system_error.
  Answer ask(const Asker& asker, const protocol::Query& query, bool refuses);

  /// The worker listens there, as it did not before. Returns whose listener it is; null where that means nothing.
  std::shared_ptr<Vault> listened(int worker, const protocol::Query& query);
  /// There is something for which it asked, and it listens on all of that.
  [[nodiscard]] bool listens(int worker) const;
  /// It listens there no more. Returns whose listener it was, or null.
  std::shared_ptr<Vault> close(int worker, std::string_view key);
  /// It is no more.
  void forget(int worker);

  struct Holding {
    std::string key;
    std::shared_ptr<Vault> vault;
    std::string question;  ///< by which `listened` finds it
    bool listens = false;
  };
  [[nodiscard]] const std::vector<Holding>& holdings(int worker) const;
  [[nodiscard]] bool holds(int worker, const Vault& vault) const;

  /// Those that programs have asked for, in the order of asking.
  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }
  /// Closes and returns those that nobody has held for a while in which all was settled: `is_settled`, now.
  std::vector<Group> give_up(TimePoint now, bool is_settled);
  /// What programs have asked for is there before a worker in that slot asks again, so that clients wait. What can't be
  /// had any more is given up, and told of: whoever asks for it again is told why.
  void prepare(unsigned slot, int backlog, bool refuses);
  /// Lets go of everything.
  void empty();

 private:
  /// What one question means to all who ask it.
  struct Entry {
    Group group;
    boost::json::value data;
  };

  Entry& entry_for(const Asker& asker, const protocol::Query& query, bool refuses, Answer& answer);
  [[nodiscard]] Group given(const Asker& asker, const protocol::Query& query, Answer& answer) const;
  [[nodiscard]] Group made(const protocol::Query& query, const Options& options, bool refuses, Answer& answer);
  void make_room();
  [[nodiscard]] bool is_held(const ListenerGroup& group) const;
  void close(const Group& group);

  ListenerAlarm& alarm_;
  std::vector<Group> groups_;
  std::map<const ListenerGroup*, TimePoint> unheld_;   ///< since when
  std::map<std::string, Entry, std::less<>> entries_;  ///< by question
  std::map<int, std::vector<Holding>> holdings_;       ///< by worker
  std::uint64_t last_key_ = 0;
};

}  // namespace baton
