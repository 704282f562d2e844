// Master. Who serves which listener, where there is more than one at an address: has the policy compare what is with
// what is wanted, and lends, withdraws and closes listeners accordingly.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "master/pool/pool.hpp"
#include "master/process/process_table.hpp"
#include "master/settings/generations.hpp"

namespace baton {

class ListenerLending {
 public:
  ListenerLending(const Generations& generations, const Pool& pool, ProcessTable& processes)
      : generations_(generations), pool_(pool), processes_(processes) {}

  /// To be called after whatever has changed.
  void arrange();
  /// Throws UsageError where so many workers would not do for the listeners that are open.
  void check_target(const Options& options, unsigned target) const;

 private:
  using Lent = std::map<std::uint64_t, std::shared_ptr<Vault>>;  ///< by cookie

  [[nodiscard]] ListenerUse use_of(const std::shared_ptr<ListenerGroup>& group, unsigned target) const;
  void take_up_left(ListenerGroup& group, const ListenerUse& use);
  void lend_out(const std::map<int, Lent>& wanted);
  void lend_to(WorkerHandle& worker, const Lent& wanted);
  void tell_stranded(std::set<unsigned> slots);

  const Generations& generations_;
  const Pool& pool_;
  ProcessTable& processes_;
  std::set<unsigned> stranded_;  ///< slots whose clients wait for their next worker
};

}  // namespace baton
