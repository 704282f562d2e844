// Master. A user and its groups, looked up before anybody changes to them: between fork and exec nothing can be.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace baton {

struct Account {
  std::string name;  ///< as the list of users has it; of one that is not in it, its number
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups;  ///< all of them, `group` too
  std::string home;           ///< empty where it has none
};

/// `user` is a name or a number, or empty: the one that this process has. `group`: likewise, or empty: the user's own.
/// Throws UsageError.
Account find_account(const std::string& user, const std::string& group);

/// Nothing would have to be changed for it.
bool is_own(const Account& account);

}  // namespace baton
