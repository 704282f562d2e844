// Master. This process's limit of open files (RLIMIT_NOFILE). Only a master that accepts needs many.
#pragma once

#include <sys/resource.h>

namespace baton {

/// Raises the limit as far as it goes, and returns what it was: a program that uses select(2) breaks on descriptors
/// above 1023, so that workers start with the old one. Throws std::system_error.
rlimit raise_open_files();

}  // namespace baton
