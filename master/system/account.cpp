// Master. The lists of users and groups (getpwnam(3), getgrnam(3)).
#include "master/system/account.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "common/error.hpp"

namespace baton {
namespace {

/// -1 is "leave it" to the kernel.
std::optional<unsigned> number_in(const std::string& text) {
  unsigned number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc{} || end != last || number == std::numeric_limits<unsigned>::max()) return std::nullopt;
  return number;
}

gid_t find_group(const std::string& text) {
  if (const group* found = ::getgrnam(text.c_str())) return found->gr_gid;
  if (const auto number = number_in(text)) return *number;
  throw UsageError(fmt::format("there is no group \"{}\" (getent group lists them)", text));
}

std::vector<gid_t> groups_of(const Account& account) {
  constexpr int most = 65'536;  // NGROUPS_MAX
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  while (::getgrouplist(account.name.c_str(), account.group, groups.data(), &count) == -1) {
    if (count > most || count <= static_cast<int>(groups.size())) return {account.group};
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

}  // namespace

Account find_account(const std::string& user, const std::string& group) {
  const auto number = user.empty() ? std::optional<unsigned>(::geteuid()) : number_in(user);
  const passwd* found = user.empty() ? nullptr : ::getpwnam(user.c_str());
  if (found == nullptr && number) found = ::getpwuid(*number);
  Account account;
  if (found != nullptr) {
    account = {found->pw_name, found->pw_uid, found->pw_gid, {}, found->pw_dir};
  } else if (!number) {
    throw UsageError(fmt::format("there is no user \"{}\" (getent passwd lists them)", user));
  } else if (group.empty()) {
    throw UsageError(fmt::format("user {0} is in no list of users, so its group has to be named ({0}:GROUP)", *number));
  } else {
    account = {fmt::to_string(*number), *number, 0, {}, {}};
  }
  if (!group.empty()) account.group = find_group(group);
  account.groups = found != nullptr ? groups_of(account) : std::vector<gid_t>{account.group};
  return account;
}

bool is_own(const Account& account) {
  return account.user == ::geteuid() && account.group == ::getegid();
}

}  // namespace baton
