// Master. This process's limit of open files (RLIMIT_NOFILE), for only a master that accepts needs many; and how many
// another has.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>

namespace baton {

/// Raises the limit as far as it goes, and returns what it was: a program that uses select(2) breaks on descriptors
/// above 1023, so that workers start with the old one. Throws std::system_error.
rlimit raise_open_files();

/// How many files a process has open; 0 where that can't be known.
std::size_t open_files_of(pid_t process);

}  // namespace baton
