// Master. One address of the configuration with all that listens there: a listener for all workers, or one for each
// slot, as the policy has it. Owns the vaults, in the order of the slots: whoever is to choose among the listeners of
// one port by number counts them so.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "master/listeners/vault.hpp"
#include "master/policy/socket_policy.hpp"

namespace baton {

class ListenerGroup {
 public:
  using Vaults = std::map<unsigned, std::shared_ptr<Vault>>;  ///< by place, which is the slot where each has its own

  /// Binds nothing yet. `alarm` outlives it.
  ListenerGroup(NamedAddress wanted, const SocketPolicy& policy, ListenerAlarm& alarm);

  [[nodiscard]] const std::string& name() const { return wanted_.name; }
  /// As asked for.
  [[nodiscard]] const NamedAddress& wanted() const { return wanted_; }
  [[nodiscard]] const SocketPolicy& policy() const { return policy_; }
  /// As bound; a range as asked for.
  [[nodiscard]] std::string address() const;
  /// The same for a log line: all of a few that the kernel chose.
  [[nodiscard]] std::string summary() const;
  /// Where clients can go: one, or one for each slot.
  [[nodiscard]] std::vector<std::string> addresses() const;
  /// Where clients reach that slot's worker; empty: nowhere.
  [[nodiscard]] std::string address_of(unsigned slot) const;

  [[nodiscard]] const Vaults& vaults() const { return vaults_; }
  /// Whose listener that slot's workers are handed. Throws std::system_error: EBADF where there is none.
  [[nodiscard]] const std::shared_ptr<Vault>& vault(unsigned slot) const;

  /// Takes over what `other` has of this group's addresses, when both have a port for each slot.
  void adopt(const ListenerGroup& other);
  /// Makes what so many slots need and was never there. `refuses`: clients are to be refused until a worker is ready.
  /// Throws StartError, std::system_error.
  void provide(unsigned slots, int backlog, bool refuses);
  /// The same for one slot, also where it was closed meanwhile.
  void prepare(unsigned slot, int backlog, bool refuses);
  /// The slot's worker is ready: its listener listens, whoever made it so. Throws std::system_error.
  void confirm(unsigned slot, int backlog);
  /// After empty(): clients are to wait again. Throws StartError, std::system_error.
  void reopen(int backlog);

  /// Gives every listener up.
  void empty();
  /// Gives one up. `is_wanted`: its slot goes on, and will have another.
  void close(unsigned place, bool is_wanted);

 private:
  [[nodiscard]] bool another_is_open(unsigned place) const;
  [[nodiscard]] bool another_listens(unsigned place) const;

  NamedAddress wanted_;
  const SocketPolicy& policy_;
  ListenerAlarm& alarm_;
  std::string address_;  ///< of the first that was bound
  Vaults vaults_;
};

}  // namespace baton
